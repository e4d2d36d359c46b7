// rotation_test.cpp -- kernels/rotation.cu against products in double
#include "kernel_test.h"

TEST(standardize_gives_mean_zero_and_unbiased_deviation_one_and_goes_through_them) {
  for (unsigned size : {5u, 45u, 1000u}) {
    unsigned filters = 4;
    std::vector<float> w = Random(size).normal(filters * size, 0.3f, 0.2f), q = Random(size + 1).normal(filters * size);
    std::vector<double> u, deviation, gradW;
    for (unsigned o = 0; o < filters; o++) {
      double sum = 0, squares = 0, qs = 0, dot = 0;
      for (unsigned i = o * size; i < (o + 1) * size; i++) sum += w[i], qs += q[i];
      for (unsigned i = o * size; i < (o + 1) * size; i++) squares += std::pow(w[i] - sum / size, 2);
      deviation.push_back(std::sqrt(squares / (size - 1)));
      for (unsigned i = o * size; i < (o + 1) * size; i++) u.push_back((w[i] - sum / size) / deviation[o]), dot += q[i] * u.back();
      for (unsigned i = o * size; i < (o + 1) * size; i++) gradW.push_back((q[i] - qs / size - u[i] * dot / (size - 1)) / deviation[o]);
    }
    Array<float> deviceW(w), deviceQ(q), outU(w.size()), outDeviation(filters), outW(w.size());
    run("standardize", blocks(filters), outU, outDeviation, deviceW, size);
    run("standardize_backward", blocks(filters), outW, deviceQ, outU, outDeviation, size);
    expect_near("u", outU.read(), u, 1e-6);
    expect_near("deviation", outDeviation.read(), deviation, 1e-6);
    expect_near("gradW", outW.read(), gradW, 1e-4);
  }
}

TEST(rotate_mix_turns_each_filter_on_both_sides_and_goes_back) {
  for (auto [a, b, channels] : {std::array{12u, 12u, 16u}, {6u, 15u, 10u}, {64u, 72u, 512u}}) {
    unsigned taps = a * b / channels, filters = 3, size = a * b;   // 3x3 or 1x1 taps
    Slope f{5, 1.2f, 0.9f};
    Random random(size);
    std::vector<float> u = random.normal(filters * size), r1 = random.normal(a * a, 0, 0.3f), r2 = random.normal(b * b, 0, 0.3f);
    std::vector<float> angle = {0.4f, -0.9f, 2.0f}, scale = random.uniform(filters, 0.5f, 2), g = random.normal(filters * size);
    std::vector<double> rotated(u.size()), mixed(u.size());
    for (unsigned o = 0; o < filters; o++) {
      auto place = [&](unsigned i) { return o * size + i % taps * channels + i / taps; };   // C,R,S order seen as a x b
      std::vector<double> left(size);
      for (unsigned i = 0; i < size; i++) for (unsigned k = 0; k < a; k++) left[i] += double(r1[k * a + i / b]) * u[place(k * b + i % b)];
      for (unsigned i = 0; i < size; i++) {
        double v = 0;
        for (unsigned k = 0; k < b; k++) v += left[i / b * b + k] * r2[k * b + i % b];
        rotated[place(i)] = v;
        mixed[place(i)] = u[place(i)] + std::fabs(std::sin(double(angle[o]))) * (v - u[place(i)]);
      }
    }
    Array<float> deviceU(u), deviceR1(r1), deviceR2(r2), angles(angle), scales(scale), deviceG(g), outMixed(u.size()), outRotated(u.size()), q(u.size()), gradAngle(filters);
    run("rotate_mix", {filters, 1, 256, 1, 8 * size}, outMixed, outRotated, deviceU, deviceR1, deviceR2, angles, a, b, taps, channels);
    expect_near("rotated", outRotated.read(), rotated, 1e-5);
    expect_near("mixed", outMixed.read(), mixed, 1e-5);
    run("rotate_mix_backward", blocks(filters), q, gradAngle, deviceG, outMixed, outRotated, deviceU, angles, scales, f.kind, f.a, f.b, size);
    std::vector<float> m = outMixed.read(), r = outRotated.read();
    std::vector<double> wantedQ, wantedAngle(filters);
    for (unsigned i = 0; i < u.size(); i++) {
      double sine = std::sin(double(angle[i / size])), h = double(scale[i / size]) * g[i] * f.slope(m[i]);
      wantedQ.push_back((1 - std::fabs(sine)) * h);
      wantedAngle[i / size] += (sine > 0 ? 1 : -1) * std::cos(double(angle[i / size])) * h * (r[i] - u[i]);
    }
    expect_near("q", q.read(), wantedQ, 1e-5);
    expect_near("gradAngle", gradAngle.read(), wantedAngle, 1e-4);
  }
}
