// float8_test.cpp -- kernels/float8_round.cu and the float8 products of xnor_conv2d_grad_w.cu and xnor_conv2d_grad_x.cu against tables and loops
#include "kernel_test.h"

/** The sizes of all codes that are numbers, from the format's definition. */
static std::vector<double> sizes() {
  std::vector<double> all;
  for (int code = 0; code < 127; code++) all.push_back(code < 8 ? std::ldexp(code, -9) : std::ldexp(8 + code % 8, code / 8 - 10));
  return all;
}

/** The code nearest to a value, by search; of two that are as near the even one. */
static int nearest(double v) {
  static const std::vector<double> all = sizes();
  if (!std::isfinite(v)) return 0x7f;
  int best = 0;
  for (int code = 1; code < 127; code++) {
    double here = std::fabs(std::fabs(v) - all[size_t(code)]), before = std::fabs(std::fabs(v) - all[size_t(best)]);
    if (here < before || (here == before && code % 2 == 0)) best = code;
  }
  return best | (std::signbit(v) ? 0x80 : 0);
}
static double held(int code) {
  static const std::vector<double> all = sizes();
  return (code & 0x80 ? -1 : 1) * all[size_t(code & 0x7f)];
}
static bool present() { return driver.lastError || driver.capability >= 89; }

/** The power of two of a tensor with this largest value. */
static int exponent(double peak) {
  int k = 126;
  while (k > -126 && std::ldexp(peak, k) > 448) k--;
  return peak == 0 ? 0 : k;
}

TEST(codes_are_the_nearest_after_scaling_by_the_largest_power_of_two) {
  if (!present()) return;
  std::vector<float> edges = {448, -448, 0.0f, -0.0f};
  for (int code = 0; code < 126; code++) {
    float a = float(held(code)), between = float((held(code) + held(code + 1)) / 2);
    for (float v : {a, -a, between, -between}) edges.push_back(v);
    for (float to : {0.0f, 500.0f}) edges.push_back(between + (to - between) / 128);
  }
  edges = rounded<Bf16>(edges);
  struct Case { std::vector<float> values; unsigned filters; };
  Random random(5);
  std::vector<Case> cases = {{edges, unsigned(edges.size())}, {std::vector<float>(24, 0.0f), 8}, {rounded<Bf16>(random.normal(40 * 33)), 33},
                             {rounded<Bf16>(random.normal(19 * 64, 0, 1e-30f)), 64}, {rounded<Bf16>(random.normal(3 * 520, 0, 1e20f)), 520}, {{1e-40f, -3e-40f}, 1}};
  for (Case& each : cases) each.values = rounded<Bf16>(each.values);
  for (const Case& g : cases) for (int sets : {0, 1}) {
    unsigned n = unsigned(g.values.size()), rows = n / g.filters, blocksOfPeaks = 3;
    std::vector<float> centre = random.normal(sets ? g.filters : 1), distance = sets ? random.uniform(g.filters, 0.2f, 3) : std::vector<float>{1};
    if (sets) distance[g.filters / 2] = 0, distance[g.filters - 1] = -0.5f;
    double peak = 0;
    std::vector<float> folded(n);
    for (unsigned i = 0; i < n; i++) {
      float d = distance[sets ? i % g.filters : 0];
      folded[i] = g.values[i] * (d == 0 ? 1 : d);
      peak = std::max(peak, double(std::fabs(folded[i])));
    }
    int k = exponent(peak);
    Array<Bf16> gradY(elements<Bf16>(g.values));
    Array<unsigned> peaks(blocksOfPeaks);
    Array<unsigned char> codes(n);
    Array<float> centred(rows), unscale(1), c(centre), d(distance);
    run("float8_peak_bf16", blocks(blocksOfPeaks), peaks, gradY, d, sets, n, g.filters);
    run("float8_round_bf16", blocks(2), codes, centred, unscale, gradY, peaks, blocksOfPeaks, c, d, sets, rows, g.filters);
    std::string what = std::to_string(g.filters) + " filters, " + std::to_string(sets);
    expect(unscale.read()[0] == float(std::ldexp(1.0, -k)), what + ": 2^-k is " + std::to_string(unscale.read()[0]) + ", k should be " + std::to_string(k));
    std::vector<unsigned char> got = codes.read();
    std::vector<double> sums(rows);
    int wrong = -1;
    for (unsigned i = 0; i < n; i++) {
      int want = nearest(double(folded[i]) * std::ldexp(1.0, k));
      if (got[i] != want && wrong < 0) wrong = int(i);
      unsigned set = sets ? i % g.filters : 0;
      sums[i / g.filters] += std::ldexp(held(want), -k) * centre[set] / (distance[set] == 0 ? 1 : distance[set]);
    }
    expect(wrong < 0, what + ": code " + std::to_string(wrong < 0 ? 0 : got[size_t(wrong)]) + " of value " + std::to_string(wrong < 0 ? 0 : folded[size_t(wrong)]));
    double scale = std::max(1e-37, peak);
    std::vector<float> centredNow = centred.read();
    for (unsigned i = 0; i < rows; i++) expect(std::fabs(centredNow[i] - sums[i]) <= 1e-5 * scale * std::sqrt(double(g.filters)), what + ": the sum over centres of row " + std::to_string(i));
  }
  for (float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), std::nanf("")}) {
    std::vector<float> values(16, 1.0f);
    values[5] = bad;
    Array<Bf16> gradY(elements<Bf16>(values));
    Array<unsigned> peaks(1);
    Array<unsigned char> codes(16);
    Array<float> centred(2), unscale(1), c(std::vector<float>{0}), d(std::vector<float>{1});
    run("float8_peak_bf16", blocks(1), peaks, gradY, d, 0, 16u, 8u);
    run("float8_round_bf16", blocks(1), codes, centred, unscale, gradY, peaks, 1u, c, d, 0, 2u, 8u);
    expect(codes.read()[5] == 0x7f && codes.read()[4] == 0x38 && unscale.read()[0] == 1 && std::isnan(centred.read()[0]), "what is not finite becomes NaN and leaves the rest");
  }
}

TEST(products_of_codes_with_bits_are_the_sums_over_positions_and_taps) {
  if (!present()) return;
  struct Case { int n, h, w, c, o, r, s, stride, pad, dilation; };
  const Case cases[] = {{1, 5, 5, 1, 1, 3, 3, 1, 1, 1}, {2, 7, 6, 33, 20, 3, 3, 2, 1, 1}, {3, 9, 8, 64, 64, 3, 3, 1, 1, 1}, {1, 9, 8, 31, 5, 5, 3, 1, 2, 2}, {3, 4, 5, 96, 130, 1, 1, 2, 0, 1},
                        {2, 8, 9, 128, 144, 3, 1, 1, 1, 1}, {70, 1, 1, 40, 72, 3, 3, 1, 1, 1}, {1, 9, 9, 16, 16, 3, 3, 3, 2, 2}};
  struct Form { const char* entry; unsigned rows, words, threads; };
  // from sm_90 on products are of float16 and sums of float32; how many bits the native product of sm_89 sums with is written nowhere
  const double tolerance = !driver.lastError && driver.capability == 89 ? 1e-3 : 4e-6;
  for (const Case& g : cases) for (int each : {0, 1}) {
    int p = (g.h + 2 * g.pad - g.dilation * (g.r - 1) - 1) / g.stride + 1, q = (g.w + 2 * g.pad - g.dilation * (g.s - 1) - 1) / g.stride + 1;
    Random random(unsigned(g.h * g.c + g.o + each));
    unsigned positions = unsigned(g.n * p * q), perPixel = unsigned(g.c + 31) / 32, words = unsigned(g.r * g.s) * perPixel, size = unsigned(g.o * g.r * g.s * g.c);
    unsigned tapBits = unsigned(g.r * g.s * g.c), images = unsigned(g.n * g.h * g.w * g.c), sets = each ? unsigned(g.o) : 1;
    std::vector<unsigned> xBits = random.bits(size_t(g.n * g.h * g.w), unsigned(g.c)), wBits = random.bits(unsigned(g.o), tapBits);
    std::vector<float> gradY = rounded<Bf16>(random.normal(size_t(positions) * unsigned(g.o))), wCentre = random.normal(sets), wDistance = random.uniform(sets, 0.1f, 2);
    if (each) wDistance[sets / 2] = 0;
    const float xCentre = each ? 0.3f : 0.0f, xDistance = 0.85f;
    double peak = 0;
    for (size_t i = 0; i < gradY.size(); i++) {
      float d = wDistance[each ? i % size_t(g.o) : 0];
      peak = std::max(peak, double(std::fabs(gradY[i] * (d == 0 ? 1 : d))));
    }
    int k = exponent(peak);
    std::vector<double> up(gradY.size());   // what the codes hold of gradY
    for (size_t i = 0; i < gradY.size(); i++) {
      float d = wDistance[each ? i % size_t(g.o) : 0];
      if (d == 0) d = 1;
      up[i] = std::ldexp(held(nearest(double(gradY[i] * d) * std::ldexp(1.0, k))), -k) / d;
    }
    Array<Bf16> deviceG(elements<Bf16>(gradY));
    Array<unsigned> peaks(2), x(xBits), w(wBits), taps(size_t(g.o * g.r * g.s) * perPixel);
    Array<int> ones(size_t((g.r + 1) * (g.s + 1) * g.o));
    Array<unsigned char> codes(gradY.size());
    Array<float> centred(positions), unscale(1), c(std::vector<float>{xCentre}), d(std::vector<float>{xDistance}), wc(wCentre), wd(wDistance);
    run("xnor_conv2d_filters", blocks(2), taps, ones, w, unsigned(g.o), unsigned(g.r), unsigned(g.s), unsigned(g.c));
    run("float8_peak_bf16", blocks(2), peaks, deviceG, wd, each, unsigned(gradY.size()), unsigned(g.o));
    run("float8_round_bf16", blocks(2), codes, centred, unscale, deviceG, peaks, 2u, wc, wd, each, positions, unsigned(g.o));
    std::string what = std::to_string(g.c) + " to " + std::to_string(g.o);
    for (float border : {0.0f, -1.0f}) {
      std::vector<double> wantedW(size), wantedX(images);
      for (int n = 0; n < g.n; n++) for (int pp = 0; pp < p; pp++) for (int qq = 0; qq < q; qq++) for (int r = 0; r < g.r; r++) for (int s = 0; s < g.s; s++) {
        int h = pp * g.stride - g.pad + r * g.dilation, v = qq * g.stride - g.pad + s * g.dilation;
        bool inside = h >= 0 && h < g.h && v >= 0 && v < g.w;
        for (int o = 0; o < g.o; o++) {
          double u = up[size_t(((n * p + pp) * q + qq) * g.o + o)], c0 = wCentre[size_t(o * each)], d0 = wDistance[size_t(o * each)];
          for (int ch = 0; ch < g.c; ch++) {
            double value = !inside ? border : double(xCentre) + xDistance * sign_bit(xBits, size_t((n * g.h + h) * g.w + v), unsigned(g.c), unsigned(ch));
            wantedW[size_t(((o * g.r + r) * g.s + s) * g.c + ch)] += u * value;
            if (inside) wantedX[size_t(((n * g.h + h) * g.w + v) * g.c + ch)] += u * (c0 + d0 * sign_bit(wBits, size_t(o), tapBits, unsigned((r * g.s + s) * g.c + ch)));
          }
        }
      }
      const Form formsW[] = {{"xnor_conv2d_grad_w_e4m3", 128, 4, 128}, {"xnor_conv2d_grad_w_narrow_e4m3", 64, 6, 96}};
      for (const Form& form : formsW) for (unsigned split : {64u, (positions + 63) / 64 * 64}) {
        unsigned splits = (positions + split - 1) / split, bytes = 3 * (64 * form.rows + form.words * 64 * 6) + form.words * 16;
        Array<float> partial(size_t(splits) * size), gradW(size);
        Launch launch{(words + form.words - 1) / form.words * ((unsigned(g.o) + form.rows - 1) / form.rows), splits, form.threads, 1, bytes};
        run(form.entry, launch, partial, codes, unscale, wd, each, x, c, d, border, g.n, g.h, g.w, g.c, g.o, g.r, g.s, g.stride, g.pad, g.dilation, p, q, split);
        run("xnor_conv2d_grad_w_finish", blocks(2), gradW, partial, splits, size);
        expect_near(std::string(form.entry) + " of " + what + " in " + std::to_string(splits) + " splits", gradW.read(), wantedW, tolerance);
      }
      if (border != 0) continue;
      const Form formsX[] = {{"xnor_conv2d_grad_x_e4m3_bf16", 128, 4, 128}, {"xnor_conv2d_grad_x_narrow_e4m3_bf16", 256, 2, 128}};
      for (const Form& form : formsX) {
        Array<Bf16> gradX(images);
        unsigned pixels = unsigned(g.n * ((g.h + g.stride - 1) / g.stride) * ((g.w + g.stride - 1) / g.stride)), padded = unsigned(g.o + 63) / 64 * 64;
        unsigned stages = std::max(3 * (form.rows * 64 + form.words * 256), form.rows * (form.words * 64 + 16));
        unsigned bytes = stages + form.rows * 16 + unsigned(g.r * g.s + 1) * 16 + 2 * padded + 4 * form.rows;
        Launch launch{(perPixel + form.words - 1) / form.words * ((pixels + form.rows - 1) / form.rows), unsigned(g.stride * g.stride), 128, 1, bytes};
        run(form.entry, launch, gradX, codes, unscale, centred, taps, wd, each, g.n, g.h, g.w, g.c, g.o, g.r, g.s, g.stride, g.pad, g.dilation, p, q);
        expect_elements(std::string(form.entry) + " of " + what, gradX, wantedX, tolerance);
      }
    }
  }
}
