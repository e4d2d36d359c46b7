// pack_test.cpp -- kernels/pack.cu against comparisons bit by bit
#include "kernel_test.h"

namespace {
std::vector<unsigned> packed(unsigned rows, unsigned bits, const std::function<bool(unsigned row, unsigned i)>& test) {
  unsigned words = (bits + 31) / 32;
  std::vector<unsigned> v(rows * words);
  for (unsigned row = 0; row < rows; row++) for (unsigned k = 0; k < bits; k++) if (test(row, row * bits + k)) v[row * words + k / 32] |= 1u << k % 32;
  return v;
}

std::vector<float> inputs(unsigned n, unsigned seed) {
  std::vector<float> x = Random(seed).normal(n);
  const float special[] = {0.0f, -0.0f, 0.5f, -0.5f, INFINITY, -INFINITY, NAN, 1e-45f, -1e-45f};
  for (unsigned i = 0; i < n; i += 5) x[i] = special[i / 5 % 9];
  return x;
}
const unsigned kBits[] = {1, 16, 31, 32, 33, 64, 100};   // whole bytes and not
}  // namespace

TEST(pack_sets_the_bit_from_the_threshold_on) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (unsigned bits : kBits) for (float threshold : {0.0f, 0.5f, -0.25f}) {
      unsigned rows = 9;
      std::vector<float> x = rounded<E>(inputs(rows * bits, bits));
      Array<E> device(elements<E>(x));
      Array<unsigned> words(rows * ((bits + 31) / 32));
      run(entry<E>("pack"), blocks(2), words, device, threshold, rows, bits);
      expect_equal("words of " + std::to_string(bits) + " bits", words.read(), packed(rows, bits, [&](unsigned, unsigned i) { return x[i] >= threshold; }));
    }
  });
}

TEST(pack_rows_takes_the_threshold_of_its_group_of_rows) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (unsigned bits : kBits) for (unsigned step : {1u, 2u}) {
      unsigned rows = 12, each = 3;
      std::vector<float> x = rounded<E>(inputs(rows * bits, bits + 1)), thresholds = Random(bits).normal(rows / each * step, 0, 0.3f);
      Array<E> device(elements<E>(x));
      Array<float> limits(thresholds);
      Array<unsigned> words(rows * ((bits + 31) / 32));
      run(entry<E>("pack_rows"), blocks(3), words, device, limits, each, step, rows, bits);
      expect_equal("words of " + std::to_string(bits) + " bits", words.read(),
                   packed(rows, bits, [&](unsigned row, unsigned i) { return x[i] >= thresholds[row / each * step]; }));
    }
  });
}

TEST(pack_level_sets_the_bit_where_the_level_is_not_negative) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (Slope f : slopes()) {
      for (unsigned bits : {77u, 72u}) {
        unsigned rows = 5;
      std::vector<float> x = rounded<E>(Random(unsigned(f.kind) + 5).normal(rows * bits));
      Array<E> device(elements<E>(x));
      Array<unsigned> words(rows * 3);
      run(entry<E>("pack_level"), blocks(1), words, device, f.kind, f.a, f.b, rows, bits);
      expect_equal("words of slope kind " + std::to_string(f.kind), words.read(), packed(rows, bits, [&](unsigned, unsigned i) { return f.level(x[i]) >= 0; }));
        }
    }
  });
}

TEST(pack_learned_compares_with_the_set_and_gives_its_two_values) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (unsigned bits : kBits) for (int codeForm : {0, 1}) for (float alpha : {0.8f, -0.8f}) {
      unsigned rows = 4;
      float beta = 0.125f;
      std::vector<float> x = rounded<E>(inputs(rows * bits, bits + 2));
      Array<E> device(elements<E>(x));
      Array<float> a(std::vector<float>{alpha}), b(std::vector<float>{beta}), centre(1), distance(1);
      Array<unsigned> words(rows * ((bits + 31) / 32));
      run(entry<E>("pack_learned"), blocks(2), words, centre, distance, device, a, b, codeForm, rows, bits);
      expect_equal("words of " + std::to_string(bits) + " bits", words.read(),
                   packed(rows, bits, [&](unsigned, unsigned i) { return alpha > 0 ? x[i] >= beta : x[i] <= beta; }));
      expect_equal("centre", centre.read(), {codeForm ? alpha * beta : beta});
      expect_equal("distance", distance.read(), {alpha});
    }
  });
}
