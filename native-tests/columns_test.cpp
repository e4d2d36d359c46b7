// columns_test.cpp -- kernels/columns.cu against loops
#include "kernel_test.h"

TEST(place_fills_columns_and_leaves_the_others_and_take_reads_them) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    // width, columns before, columns after, channels: with neighbours in 16 bytes, and one by one for each of three reasons
    for (auto [width, before, after, channels] : {std::array<unsigned, 4>{4, 8, 0, 4}, {64, 0, 4, 16}, {100, 4, 60, 2}, {12, 4, 0, 6}, {5, 3, 0, 5}, {8, 1, 3, 2}, {8, 4, 1, 1}, {1, 0, 0, 1}}) {
      unsigned rows = 7, n = rows * width, pitch = before + width + after;
      std::vector<float> x = rounded<E>(Random(width).normal(n)), wanted = Random(width + 1).normal(rows * pitch), source = Random(width + 2).normal(rows * pitch), taken(n);
      std::vector<float> bias = Random(width + 3).normal(channels);
      Array<float> y(wanted), from(source), deviceBias(bias);
      Array<E> deviceX(elements<E>(x)), back(n);
      for (unsigned i = 0; i < n; i++) {
        unsigned at = i / width * pitch + before + i % width;
        wanted[at] = x[i] + bias[i % width % channels];
        taken[i] = value(element<E>(source[at]));
      }
      long long first = (long long)(y.address + 4 * before), second = (long long)(from.address + 4 * before);
      run(entry<E>("place"), blocks(2), first, deviceX, deviceBias, n, width, pitch, channels);
      expect_equal("y", y.read(), wanted);
      run(entry<E>("take"), blocks(2), back, second, n, width, pitch);
      expect_equal("x", values(back.read()), taken);
    }
  });
}
