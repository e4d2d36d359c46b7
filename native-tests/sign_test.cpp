// sign_test.cpp -- kernels/sign.cu against sums in double
#include "kernel_test.h"

TEST(sign_weights_backward_scales_the_slope_and_carries_the_mean) {
  for (Slope f : slopes()) for (unsigned each : {0u, 1u}) for (int throughMean : {0, 1}) {
    unsigned filters = 4, size = 77;
    std::vector<float> w = Random(41).normal(filters * size), g = Random(42).normal(filters * size), scale = Random(43).uniform(each ? filters : 1, 0.5f, 2);
    w[3] = 0;
    std::vector<double> wanted;
    for (unsigned o = 0; o < filters; o++) {
      double share = 0;
      for (unsigned i = o * size; throughMean && i < (o + 1) * size; i++) share += (f.level(w[i]) >= 0 ? g[i] : -g[i]) / double(size);
      for (unsigned i = o * size; i < (o + 1) * size; i++) {
        wanted.push_back(double(scale[each ? o : 0]) * g[i] * f.slope(w[i]) + share * (w[i] > 0 ? 1 : w[i] < 0 ? -1 : 0));
      }
    }
    Array<float> deviceW(w), deviceG(g), scales(scale), gradW(w.size());
    run("sign_weights_backward", blocks(filters), gradW, deviceG, deviceW, scales, each, f.kind, f.a, f.b, throughMean, size);
    expect_near("gradW of slope kind " + std::to_string(f.kind), gradW.read(), wanted, 1e-5);
  }
}

TEST(scale_backward_and_mean_absolute_sum_over_each_filter) {
  for (Slope f : slopes()) for (int real : {0, 1}) {
    unsigned filters = 5, size = 300;
    float factor = 1.5f;
    std::vector<float> w = Random(44).normal(filters * size), g = Random(45).normal(filters * size);
    std::vector<double> gradScale(filters), distance(filters);
    for (unsigned i = 0; i < w.size(); i++) {
      double level = f.level(w[i]);
      gradScale[i / size] += g[i] * (real ? level : level >= 0 ? 1 : -1);
      distance[i / size] += factor * std::fabs(w[i]) / size;
    }
    Array<float> deviceW(w), deviceG(g), outScale(filters), outDistance(filters);
    run("scale_backward", blocks(filters), outScale, deviceG, deviceW, f.kind, f.a, f.b, real, size);
    run("mean_absolute", blocks(filters), outDistance, deviceW, factor, size);
    expect_near("gradScale of slope kind " + std::to_string(f.kind), outScale.read(), gradScale, 1e-5);
    expect_near("distance", outDistance.read(), distance, 1e-6);
  }
}
