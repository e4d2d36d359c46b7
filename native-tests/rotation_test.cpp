// rotation_test.cpp -- kernels/rotation.cu against products in double
#include <deque>
#include "kernel_test.h"

/** kernels/rotation.cu, RotationEntry. */
struct RotationEntry {
  uint64_t w, gradient, u, deviation, rotated, mixed, r1, r2, angle, scale, gradAngle, gradScale, words, values;
  unsigned size, rounded, a, b, taps, channels;
};

TEST(standardize_gives_mean_zero_and_unbiased_deviation_one_and_goes_through_them) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (unsigned size : {5u, 45u, 1000u}) {
      unsigned filters = 4;
      std::vector<float> w = rounded<E>(Random(size).normal(filters * size, 0.3f, 0.2f)), q = rounded<E>(Random(size + 1).normal(filters * size));
      std::vector<double> u, deviation, gradW;
      for (unsigned o = 0; o < filters; o++) {
        double sum = 0, squares = 0;
        for (unsigned i = o * size; i < (o + 1) * size; i++) sum += w[i];
        for (unsigned i = o * size; i < (o + 1) * size; i++) squares += std::pow(w[i] - sum / size, 2);
        deviation.push_back(std::sqrt(squares / (size - 1)));
        for (unsigned i = o * size; i < (o + 1) * size; i++) u.push_back((w[i] - sum / size) / deviation[o]);
      }
      Array<E> deviceW(elements<E>(w)), deviceQ(elements<E>(q)), outU(w.size()), outW(w.size());
      Array<float> outDeviation(filters);
      run(entry<E>("standardize"), blocks(filters), outU, outDeviation, deviceW, size);
      run(entry<E>("standardize_backward"), blocks(filters), outW, deviceQ, outU, outDeviation, size);
      std::vector<float> stored = values(outU.read());   // the gradient is by u as it is stored
      for (unsigned o = 0; o < filters; o++) {
        double qs = 0, dot = 0;
        for (unsigned i = o * size; i < (o + 1) * size; i++) qs += q[i], dot += double(q[i]) * stored[i];
        for (unsigned i = o * size; i < (o + 1) * size; i++) gradW.push_back((q[i] - qs / size - stored[i] * dot / (size - 1)) / deviation[o]);
      }
      expect_elements("u", outU, u, 1e-6);
      expect_near("deviation", outDeviation.read(), deviation, 1e-6);
      expect_elements("gradW", outW, gradW, 1e-4);
    }
  });
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

TEST(rotated_filters_of_many_layers_in_one_launch_get_what_each_gets_alone) {
  Slope f{5, 1.2f, 0.9f};
  std::deque<Array<float>> floats;
  std::deque<Array<unsigned>> bits;
  std::deque<Array<Bf16>> halves;
  std::vector<RotationEntry> entries, backward;
  std::vector<std::array<unsigned, 2>> pairs;
  std::vector<std::function<void()>> checks;
  unsigned largest = 0;
  for (auto [a, b, channels] : {std::array{12u, 12u, 16u}, {6u, 15u, 10u}, {1u, 7u, 7u}, {24u, 24u, 64u}}) {
    unsigned taps = a * b / channels, size = a * b, layer = unsigned(entries.size()), filters = 2 + layer, words = (size + 31) / 32;
    bool rounded = layer % 2;
    Random random(size);
    std::vector<float> w = random.normal(filters * size, 0.1f, 0.5f), g = random.normal(filters * size);
    if (rounded) g = kernel_test::rounded<Bf16>(g);
    auto room = [&](size_t n) -> Array<float>& { return floats.emplace_back(n); };
    Array<float>&deviceW = floats.emplace_back(w), &gradient = floats.emplace_back(g), &u = room(w.size()), &deviation = room(filters), &rotated = room(w.size());
    Array<float>&mixed = room(w.size()), &r1 = floats.emplace_back(random.normal(a * a, 0, 0.3f)), &r2 = floats.emplace_back(random.normal(b * b, 0, 0.3f));
    Array<float>&angle = floats.emplace_back(random.normal(filters)), &scale = floats.emplace_back(random.uniform(filters, 0.5f, 2));
    Array<float>&gradAngle = room(filters), &gradScale = room(filters), &whole = room(rounded ? 0 : w.size());
    Array<Bf16>& half = halves.emplace_back(rounded ? w.size() : 0);
    Array<unsigned>& packed = bits.emplace_back(filters * words);
    entries.push_back({deviceW.address, 0, u.address, deviation.address, rotated.address, mixed.address, r1.address, r2.address, angle.address, scale.address, 0, 0,
                       packed.address, rounded ? half.address : whole.address, size, rounded, a, b, taps, channels});
    backward.push_back({0, gradient.address, u.address, deviation.address, rotated.address, mixed.address, 0, 0, angle.address, scale.address, gradAngle.address,
                        gradScale.address, 0, gradient.address, size, rounded, 0, 0, 0, 0});
    if (rounded) backward.back().values = halves.emplace_back(elements<Bf16>(g)).address;
    for (unsigned o = 0; o < filters; o++) pairs.push_back({layer, o});
    largest = std::max(largest, size);
    checks.push_back([&, w, g, a = a, b = b, channels = channels, taps, size, filters, words, rounded] {
      std::string of = " of " + std::to_string(size);
      Array<float> ownU(w.size()), ownDeviation(filters), ownRotated(w.size()), ownMixed(w.size()), gradE(g), q(w.size()), wanted(w.size()), ownAngle(filters),
          ownScale(filters);
      run("standardize", blocks(filters), ownU, ownDeviation, deviceW, size);
      run("rotate_mix", {filters, 1, 256, 1, 8 * size}, ownMixed, ownRotated, ownU, r1, r2, angle, a, b, taps, channels);
      run("scale_backward", blocks(filters), ownScale, gradE, ownMixed, f.kind, f.a, f.b, 0, size);
      run("rotate_mix_backward", blocks(filters), q, ownAngle, gradE, ownMixed, ownRotated, ownU, angle, scale, f.kind, f.a, f.b, size);
      run("standardize_backward", blocks(filters), wanted, q, ownU, ownDeviation, size);
      std::vector<float> m = ownMixed.read(), s = scale.read(), signs(w.size());
      std::vector<unsigned> wantedBits(filters * words);
      for (unsigned i = 0; i < w.size(); i++) {
        if (m[i] >= 0) wantedBits[i / size * words + i % size / 32] |= 1u << i % size % 32;
        signs[i] = m[i] >= 0 ? s[i / size] : -s[i / size];
      }
      expect_equal("u" + of, u.read(), ownU.read());
      expect_equal("deviation" + of, deviation.read(), ownDeviation.read());
      expect_equal("rotated" + of, rotated.read(), ownRotated.read());
      expect_equal("mixed" + of, mixed.read(), m);
      expect_equal("bits" + of, packed.read(), wantedBits);
      if (rounded) expect_equal("values" + of, values(half.read()), kernel_test::rounded<Bf16>(signs));
      else expect_equal("values" + of, whole.read(), signs);
      expect_equal("gradScale" + of, gradScale.read(), ownScale.read());
      expect_equal("gradAngle" + of, gradAngle.read(), ownAngle.read());
      expect_equal("gradient" + of, gradient.read(), wanted.read());
    });
  }
  Array<RotationEntry> table(entries), backwardTable(backward);
  Array<std::array<unsigned, 2>> blockTable(pairs);
  run("rotate_all", {unsigned(pairs.size()), 1, 256, 1, 8 * largest}, table, blockTable, f.kind, f.a, f.b);
  run("rotate_all_backward", blocks(unsigned(pairs.size())), backwardTable, blockTable, f.kind, f.a, f.b);
  for (auto& check : checks) check();
}
