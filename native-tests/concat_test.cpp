// concat_test.cpp -- kernels/concat.cu against copies
#include "kernel_test.h"

TEST(concat_puts_rows_side_by_side_and_split_takes_them_apart) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (unsigned a : {1u, 3u, 64u}) for (unsigned b : {1u, 7u, 32u}) {
      unsigned rows = 13, n = rows * (a + b);
      std::vector<float> as = rounded<E>(Random(a).normal(rows * a)), bs = rounded<E>(Random(b + 100).normal(rows * b)), y;
      for (unsigned r = 0; r < rows; r++) {
        y.insert(y.end(), as.begin() + r * a, as.begin() + (r + 1) * a);
        y.insert(y.end(), bs.begin() + r * b, bs.begin() + (r + 1) * b);
      }
      Array<E> deviceA(elements<E>(as)), deviceB(elements<E>(bs)), both(n), outA(as.size()), outB(bs.size());
      run(entry<E>("concat"), blocks(2), both, deviceA, deviceB, n, a, b);
      expect_equal("y", values(both.read()), y);
      run(entry<E>("split"), blocks(2), outA, outB, both, n, a, b);
      expect_equal("a", values(outA.read()), as);
      expect_equal("b", values(outB.read()), bs);
    }
  });
}
