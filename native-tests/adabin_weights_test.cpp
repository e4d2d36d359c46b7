// adabin_weights_test.cpp -- kernels/adabin_weights.cu against sums in double
#include <deque>
#include "kernel_test.h"

/** kernels/adabin_weights.cu, FilterEntry. */
struct FilterEntry {
  uint64_t w, gradient, centre, distance, words, values;
  unsigned size, rounded;
};

TEST(centre_distance_is_mean_and_biased_deviation_of_each_filter) {
  for (unsigned size : {1u, 9u, 31u, 288u, 1000u}) {
    unsigned filters = 5;
    std::vector<float> w = Random(size).normal(filters * size, 3, 0.5f);
    std::vector<double> centre, distance;
    for (unsigned o = 0; o < filters; o++) {
      double sum = 0, squares = 0;
      for (unsigned i = 0; i < size; i++) sum += w[o * size + i];
      for (unsigned i = 0; i < size; i++) squares += std::pow(w[o * size + i] - sum / size, 2);
      centre.push_back(sum / size);
      distance.push_back(std::sqrt(squares / size));
    }
    Array<float> device(w), c(filters), d(filters);
    run("centre_distance", blocks(filters), c, d, device, size);
    expect_near("centre of " + std::to_string(size), c.read(), centre, 1e-6);
    if (size == 1) expect_equal("distance of a constant filter", d.read(), std::vector<float>(filters, 0));
    else expect_near("distance of " + std::to_string(size), d.read(), distance, 1e-6);
  }
}

TEST(centre_distance_backward_is_the_gradient_through_mean_and_deviation) {
  for (Slope f : slopes()) for (unsigned size : {2u, 33u, 576u, 4700u}) {   // of the last not all slopes are kept
    unsigned filters = size > 4608 ? 2 : 4;
    Random random(size + unsigned(f.kind));
    std::vector<float> w = random.normal(filters * size, 0.2f), g = random.normal(filters * size), centre, distance;
    std::vector<double> wanted(w.size());
    for (unsigned o = 0; o < filters; o++) {
      const float *wo = &w[o * size], *go = &g[o * size];
      double sum = 0, squares = 0, ge = 0, geu = 0, gs = 0, all = 0;
      for (unsigned i = 0; i < size; i++) sum += wo[i];
      for (unsigned i = 0; i < size; i++) squares += std::pow(wo[i] - sum / size, 2);
      centre.push_back(float(sum / size));
      distance.push_back(float(std::sqrt(squares / size)));
      auto u = [&](unsigned i) { return double((wo[i] - centre[o]) * (1 / distance[o])); };   // float32 like the op: a step of a slope stays on its side
      for (unsigned i = 0; i < size; i++) {
        double e = go[i] * f.slope(u(i));
        ge += e;
        geu += e * u(i);
        gs += wo[i] >= centre[o] ? go[i] : -go[i];
        all += go[i];
      }
      for (unsigned i = 0; i < size; i++) wanted[o * size + i] = go[i] * f.slope(u(i)) - ge / size - u(i) * geu / size + u(i) * gs / size + all / size;
    }
    Array<float> gradW(w.size()), gradE(g), device(w), c(centre), d(distance);
    run("centre_distance_backward", blocks(filters), gradW, gradE, device, c, d, f.kind, f.a, f.b, size);
    expect_near("gradW of slope kind " + std::to_string(f.kind) + " size " + std::to_string(size), gradW.read(), wanted, 2e-5);
  }
}

TEST(filters_of_many_layers_in_one_launch_get_what_each_gets_alone) {
  Slope f = slopes()[3];
  std::deque<Array<float>> floats;
  std::deque<Array<unsigned>> bits;
  std::deque<Array<Bf16>> halves;
  std::vector<FilterEntry> entries, backward;
  std::vector<std::array<unsigned, 2>> pairs;
  std::vector<std::function<void()>> checks;
  for (unsigned size : {1u, 31u, 32u, 33u, 576u}) {
    unsigned filters = 2 + size % 3, words = (size + 31) / 32, layer = unsigned(entries.size());
    bool rounded = layer % 2;
    Random random(size);
    std::vector<float> w = random.normal(filters * size, 0.1f, 0.5f), g = random.normal(filters * size);
    if (rounded) g = kernel_test::rounded<Bf16>(g);
    Array<float>&deviceW = floats.emplace_back(w), &gradient = floats.emplace_back(g), &centre = floats.emplace_back(filters), &distance = floats.emplace_back(filters);
    Array<float>& whole = floats.emplace_back(rounded ? 0 : w.size());
    Array<Bf16>& half = halves.emplace_back(rounded ? w.size() : 0);
    Array<unsigned>& packed = bits.emplace_back(filters * words);
    entries.push_back({deviceW.address, gradient.address, centre.address, distance.address, packed.address, rounded ? half.address : whole.address, size, rounded});
    backward.push_back(entries.back());
    if (rounded) backward.back().values = halves.emplace_back(elements<Bf16>(g)).address;
    else backward.back().values = gradient.address;
    for (unsigned o = 0; o < filters; o++) pairs.push_back({layer, o});
    checks.push_back([&, w, g, size, filters, words, rounded, f] {
      std::string of = " of " + std::to_string(size);
      Array<float> c(filters), d(filters), alone(w), wanted(w.size()), gradE(g);
      run("centre_distance", blocks(filters), c, d, alone, size);
      run("centre_distance_backward", blocks(filters), wanted, gradE, alone, c, d, f.kind, f.a, f.b, size);
      std::vector<float> cs = c.read(), ds = d.read(), levels(w.size());
      std::vector<unsigned> wantedBits(filters * words);
      for (unsigned i = 0; i < w.size(); i++) {
        bool positive = w[i] >= cs[i / size];
        levels[i] = positive ? cs[i / size] + ds[i / size] : cs[i / size] - ds[i / size];
        if (positive) wantedBits[i / size * words + i % size / 32] |= 1u << i % size % 32;
      }
      expect_equal("centre" + of, centre.read(), cs);
      expect_equal("distance" + of, distance.read(), ds);
      expect_equal("bits" + of, packed.read(), wantedBits);
      if (rounded) expect_equal("levels" + of, values(half.read()), kernel_test::rounded<Bf16>(levels));
      else expect_equal("levels" + of, whole.read(), levels);
      expect_equal("gradient" + of, gradient.read(), wanted.read());
    });
  }
  Array<FilterEntry> table(entries), backwardTable(backward);
  Array<std::array<unsigned, 2>> blockTable(pairs);
  run("centre_distance_all", blocks(unsigned(pairs.size())), table, blockTable);
  run("centre_distance_all_backward", blocks(unsigned(pairs.size())), backwardTable, blockTable, f.kind, f.a, f.b);
  for (auto& check : checks) check();
}
