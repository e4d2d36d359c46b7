// xnor_gemm_test.cpp -- kernels/xnor_gemm.cu and xnor_gemm_tiles.cu against sums of +1 and -1
#include "kernel_test.h"

static void products(const char* kernel, const BitProduct& product) {
  if (!product.native()) return;
  Random random(1);
  for (unsigned k : {1u, 31u, 33u, 64u, 100u, 128u, 255u, 256u, 257u, 384u, 576u, 1152u, 2100u}) {
    for (auto [m, n] : {std::pair{1u, 1u}, {63u, 65u}, {128u, 64u}, {130u, 7u}, {257u, 136u}}) {
      if (m == 257 && k != 257 && k != 2100) continue;
      std::vector<unsigned> a = random.bits(m, k), b = random.bits(n, k);
      std::vector<float> wanted(m * n);
      for (unsigned i = 0; i < m; i++) {
        for (unsigned j = 0; j < n; j++) {
          int sum = 0;
          for (unsigned q = 0; q < k; q++) sum += sign_bit(a, i, k, q) * sign_bit(b, j, k, q);
          wanted[i * n + j] = float(sum);
        }
      }
      Array<unsigned> deviceA(a), deviceB(b);
      Array<int> onesA(m), onesB(n);
      unsigned words = (k + 31) / 32;
      run("bit_counts", blocks(3), onesA, onesB, deviceA, deviceB, m, n, words);
      for (int element = 0; element < 3; element++) {
        std::vector<float> y = bit_product_y(element, m * n, [&](auto& y) { run(kernel, product.launch(m, n, words, 0), y, deviceA, deviceB, onesA, onesB, m, n, k, element); });
        expect_equal("y of " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k) + " element " + std::to_string(element), y,
                     element == 1 ? rounded<Bf16>(wanted) : wanted);
      }
    }
  }
}

TEST(xnor_gemm_is_the_sum_of_products) { products("xnor_gemm", {80, 90, 64}); }
TEST(xnor_gemm_wide_is_the_sum_of_products) { products("xnor_gemm_wide", {80, 90, 128}); }
TEST(xnor_gemm_xor_is_the_sum_of_products) { products("xnor_gemm_xor", {75, 75, 64}); }
TEST(xnor_gemm_popc_is_the_sum_of_products) { products("xnor_gemm_popc", {0, 1000, 64}); }

TEST(matrices_of_bits_on_warpgroups_are_the_sum_of_products) {
  if (!BitTiles::native()) return;
  Random random(3);
  struct Shape { unsigned m, n, k, blocks; };
  for (auto [m, n, k, blocks] : {Shape{1, 1, 1, 1}, {255, 193, 31, 1}, {257, 191, 32, 3}, {256, 192, 33, 1}, {64, 385, 1023, 2}, {129, 66, 1024, 1}, {1, 194, 1025, 2},
                                 {600, 400, 2200, 2}, {70, 800, 5000, 1}}) {
    std::vector<unsigned> a = random.bits(m, k), b = random.bits(n, k);
    unsigned words = (k + 31) / 32;
    std::vector<float> wanted(m * n);
    for (unsigned i = 0; i < m * n; i++) {
      int unequal = 0;
      for (unsigned q = 0; q < words; q++) unequal += __builtin_popcount(a[i / n * words + q] ^ b[i % n * words + q]);
      wanted[i] = float(int(k) - 2 * unequal);
    }
    Array<unsigned> deviceA(a), deviceB(b);
    BitTiles tiles(m, n, k);
    run("xnor_gemm_tiles", tiles.laying(), tiles.a, tiles.b, tiles.less, tiles.base, deviceA, deviceB, m, n, k);
    for (int element = 0; element < 3; element++) {
      if (element > 0 && m > 300) continue;
      std::vector<float> y = bit_product_y(element, m * n, [&](auto& y) {
        run("xnor_gemm_bulk", tiles.product(blocks), y, tiles.a, tiles.b, tiles.less, tiles.base, m, n, k, element);
      });
      expect_equal("y of " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k) + " element " + std::to_string(element), y,
                   element == 1 ? rounded<Bf16>(wanted) : wanted);
    }
  }
}

TEST(bit_counts_are_the_ones_of_each_row_of_both) {
  Random random(2);
  for (unsigned bits : {1u, 32u, 33u, 2000u}) {
    unsigned rows[2] = {19, 7}, words = (bits + 31) / 32;
    std::vector<unsigned> matrix[2];
    std::vector<int> wanted[2];
    for (int side = 0; side < 2; side++) {
      matrix[side] = random.bits(rows[side], bits);
      wanted[side].resize(rows[side]);
      for (unsigned row = 0; row < rows[side]; row++) for (unsigned k = 0; k < bits; k++) wanted[side][row] += sign_bit(matrix[side], row, bits, k) > 0;
    }
    Array<unsigned> a(matrix[0]), b(matrix[1]);
    Array<int> onesA(rows[0]), onesB(rows[1]);
    run("bit_counts", blocks(2), onesA, onesB, a, b, rows[0], rows[1], words);
    expect_equal("ones of " + std::to_string(bits) + " bits of a", onesA.read(), wanted[0]);
    expect_equal("ones of " + std::to_string(bits) + " bits of b", onesB.read(), wanted[1]);
  }
}
