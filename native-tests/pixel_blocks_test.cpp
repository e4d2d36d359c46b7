// pixel_blocks_test.cpp -- kernels/pixel_blocks.cu: the convolution of the blocks is the convolution; blocks of bytes are those of the values made of them
#include "kernel_test.h"

TEST(pixel_blocks_make_a_convolution_of_stride_2_one_of_stride_1) {
  struct Case { int h, w, c, r, s, pad; };
  for (Case g : {Case{8, 6, 3, 7, 7, 3}, Case{7, 9, 1, 3, 3, 1}, Case{5, 5, 4, 5, 3, 0}, Case{6, 7, 2, 4, 4, 2}, Case{1, 1, 3, 3, 3, 1}}) {
    using E = Bf16;
    int n = 2, o = 3, p = (g.h + 2 * g.pad - g.r) / 2 + 1, q = (g.w + 2 * g.pad - g.s) / 2 + 1, even = (g.pad + 1) / 2 * 2, shift = even - g.pad;
    int a = (g.r + shift + 1) / 2, b = (g.s + shift + 1) / 2, u = p + a - 1, v = q + b - 1, channels = (4 * g.c + 7) / 8 * 8;
    std::vector<float> x = rounded<E>(Random(unsigned(g.h)).normal(size_t(n * g.h * g.w * g.c))), w = rounded<E>(Random(9).normal(size_t(o * g.r * g.s * g.c)));
    Array<E> dx(elements<E>(x)), blocks_(size_t(n * u * v * channels)), filters(size_t(o * a * b * channels));
    Array<float> dw(w), back(w.size());
    Array<E> rounded_back(w.size());
    unsigned images = unsigned(n * u * v * channels), count = unsigned(o * a * b * channels);
    run("pixel_blocks", blocks(3), blocks_, dx, images, g.h, g.w, g.c, u, v, channels, even);
    run("pixel_blocks_filters", blocks(2), filters, dw, count, g.r, g.s, g.c, a, b, channels, shift);
    Array<E> of_rounded(filters.read().size()), rounded_w(elements<E>(w));
    run("pixel_blocks_filters_bf16", blocks(2), of_rounded, rounded_w, count, g.r, g.s, g.c, a, b, channels, shift);
    expect_equal("filters of bfloat16", values(of_rounded.read()), values(filters.read()));
    run("pixel_blocks_grad_w", blocks(2), back, filters, count, g.r, g.s, g.c, a, b, channels, shift);
    run("pixel_blocks_grad_w_bf16", blocks(2), rounded_back, filters, count, g.r, g.s, g.c, a, b, channels, shift);
    std::vector<float> of = values(blocks_.read()), f = values(filters.read());
    std::vector<double> wanted, found;
    for (int i = 0; i < n; i++) for (int y = 0; y < p; y++) for (int z = 0; z < q; z++) for (int filter = 0; filter < o; filter++) {
      double direct = 0, blocked = 0;
      for (int row = 0; row < g.r; row++) for (int column = 0; column < g.s; column++) for (int k = 0; k < g.c; k++) {
        int up = 2 * y + row - g.pad, along = 2 * z + column - g.pad;
        if (up < 0 || up >= g.h || along < 0 || along >= g.w) continue;
        direct += double(x[size_t(((i * g.h + up) * g.w + along) * g.c + k)]) * w[size_t(((filter * g.r + row) * g.s + column) * g.c + k)];
      }
      for (int row = 0; row < a; row++) for (int column = 0; column < b; column++) for (int k = 0; k < channels; k++) {
        blocked += double(of[size_t(((i * u + y + row) * v + z + column) * channels + k)]) * f[size_t(((filter * a + row) * b + column) * channels + k)];
      }
      wanted.push_back(direct);
      found.push_back(blocked);
    }
    std::string what = " of " + std::to_string(g.r) + "x" + std::to_string(g.s) + " filters over " + std::to_string(g.c) + " channels";
    expect_near("y" + what, std::vector<float>(found.begin(), found.end()), wanted, 1e-6);
    expect_equal("filters back" + what, back.read(), w);
    expect_equal("filters back in bfloat16" + what, values(rounded_back.read()), w);
  }
}

TEST(pixel_blocks_of_bytes_are_those_of_normalised_images) {
  struct Case { int n, h, w, c, pad, r; };
  for (Case g : {Case{2, 8, 6, 3, 3, 7}, Case{1, 1, 1, 3, 1, 3}, Case{3, 7, 9, 1, 1, 3}, Case{1, 16, 16, 4, 2, 5}, Case{1, 5, 6, 2, 0, 3}}) {
    int p = (g.h + 2 * g.pad - g.r) / 2 + 1, q = (g.w + 2 * g.pad - g.r) / 2 + 1, even = (g.pad + 1) / 2 * 2, a = (g.r + even - g.pad + 1) / 2;
    int u = p + a - 1, v = q + a - 1, channels = (4 * g.c + 7) / 8 * 8;
    size_t size = size_t(g.n * g.h * g.w * g.c), count = size_t(g.n * u * v * channels);
    std::vector<unsigned char> pixels(size);
    for (size_t i = 0; i < size; i++) pixels[i] = static_cast<unsigned char>(i < 8 ? i % 2 * 255 : i * 37 + i / 256);
    Array<unsigned char> device(pixels);
    Array<float> s(Random(unsigned(g.c)).uniform(size_t(2 * g.c), 0.1f, 0.9f));
    Array<Bf16> values_(size), of_values(count), of_bytes(count);
    run(entry<Bf16>("normalize"), blocks(2), values_, device, s, unsigned(size), unsigned(g.c));
    run("pixel_blocks", blocks(3), of_values, values_, unsigned(count), g.h, g.w, g.c, u, v, channels, even);
    run("pixel_blocks_of_bytes", blocks(2), of_bytes, device, s, unsigned(count), g.h, g.w, g.c, u, v, channels, even);
    expect_equal("blocks of " + std::to_string(g.c) + " channels", values(of_bytes.read()), values(of_values.read()));
  }
}
