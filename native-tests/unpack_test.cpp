// unpack_test.cpp -- kernels/unpack.cu against centre plus or minus distance
#include "kernel_test.h"

TEST(unpack_gives_centre_plus_or_minus_distance) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    Random random(11);
    for (unsigned bits : {1u, 31u, 32u, 33u, 64u, 100u, 4160u}) for (unsigned each : {0u, 1u}) {
      unsigned rows = 7;
      std::vector<unsigned> words = random.bits(rows, bits);
      std::vector<float> centre = random.normal(each ? rows : 1), distance = random.uniform(each ? rows : 1, 0.1f, 2), wanted;
      for (unsigned row = 0; row < rows; row++) for (unsigned k = 0; k < bits; k++) {
        float c = centre[row * each], d = distance[row * each];
        wanted.push_back(sign_bit(words, row, bits, k) > 0 ? c + d : c - d);
      }
      Array<unsigned> device(words);
      Array<E> x(wanted.size());
      Array<float> c(centre), d(distance);
      run(entry<E>("unpack"), blocks(2), x, device, c, d, each, unsigned(wanted.size()), bits);
      expect_equal("x of " + std::to_string(bits) + " bits", values(x.read()), rounded<E>(wanted));
    }
  });
}
