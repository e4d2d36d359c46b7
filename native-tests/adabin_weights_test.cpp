// adabin_weights_test.cpp -- kernels/adabin_weights.cu against sums in double
#include "kernel_test.h"

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
  for (Slope f : slopes()) for (unsigned size : {2u, 33u, 576u}) {
    unsigned filters = 4;
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
