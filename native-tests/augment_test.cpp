// augment_test.cpp -- kernels/augment.cu against loops
#include "kernel_test.h"

TEST(augment_crops_from_black_flips_and_scales) {
  const int cases[][6] = {{1, 1, 1, 1, 1, 1}, {3, 8, 7, 3, 8, 7}, {2, 5, 9, 3, 7, 4}, {4, 6, 6, 1, 4, 8}};   // n, height, width, channels, of y; from height, width
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (auto& k : cases) {
      int n = k[0], height = k[1], width = k[2], channels = k[3], fromHeight = k[4], fromWidth = k[5];
      Random random(unsigned(n * height));
      std::vector<unsigned char> pixels(size_t(n * fromHeight * fromWidth * channels));
      for (auto& p : pixels) p = (unsigned char)(random.engine());
      std::vector<int> choices;
      for (int i = 0; i < n; i++) for (int v : {int(random.engine() % 9) - 4, int(random.engine() % 9) - 4, int(random.engine() % 2)}) choices.push_back(v);
      std::vector<float> statistics = random.uniform(size_t(2 * channels), 0.1f, 0.9f), wanted;
      for (int i = 0; i < n; i++) for (int h = 0; h < height; h++) for (int w = 0; w < width; w++) for (int c = 0; c < channels; c++) {
        int down = choices[size_t(3 * i)] + h, along = choices[size_t(3 * i + 1)] + (choices[size_t(3 * i + 2)] ? width - 1 - w : w);
        bool inside = down >= 0 && down < fromHeight && along >= 0 && along < fromWidth;
        float pixel = inside ? float(pixels[size_t(((i * fromHeight + down) * fromWidth + along) * channels + c)]) : 0;
        wanted.push_back((pixel / 255.0f - statistics[size_t(c)]) / statistics[size_t(channels + c)]);
      }
      Array<unsigned char> from(pixels);
      Array<int> chosen(choices);
      Array<float> scale(statistics);
      Array<E> y(wanted.size());
      run(entry<E>("augment"), blocks(2), y, from, chosen, scale, unsigned(wanted.size()), height, width, channels, fromHeight, fromWidth);
      expect_equal("y", values(y.read()), rounded<E>(wanted));
    }
  });
}
