// merge_moments_test.cpp -- kernels/merge_moments.cu against the formulas in double
#include "kernel_test.h"

TEST(merge_moments_of_parts_gives_those_of_the_whole) {
  const unsigned cases[][2] = {{1, 1}, {2, 33}, {8, 300}};   // ranks, channels
  for (auto& k : cases) for (int unbiased : {0, 1}) {
    unsigned ranks = k[0], channels = k[1], width = 2 * channels + 1, grid = (channels + 255) / 256;
    Random random(channels);
    float momentum = 0.1f, epsilon = 1e-5f;
    std::vector<float> all = random.uniform(ranks * width, 0.5f, 2), rm = random.normal(channels), rv = random.uniform(channels, 0.5f, 2);
    double rows = 0;
    for (unsigned r = 0; r < ranks; r++) rows += all[r * width + width - 1] = float(3 + 2 * r);
    std::vector<double> mean(channels), var(channels), inverse(channels), newMean(channels), newVar(channels), scale(channels), shift(channels);
    std::vector<float> sums = random.normal(ranks * 2 * channels), own(sums.begin(), sums.begin() + 2 * channels), gamma = random.normal(channels);
    std::vector<float> inverses = random.uniform(channels, 0.5f, 2);
    for (unsigned c = 0; c < channels; c++) {
      for (unsigned r = 0; r < ranks; r++) mean[c] += double(all[r * width + 2 * channels]) * all[r * width + c] / rows;
      for (unsigned r = 0; r < ranks; r++) var[c] += all[r * width + 2 * channels] * (all[r * width + channels + c] + std::pow(all[r * width + c] - mean[c], 2)) / rows;
      inverse[c] = 1 / std::sqrt(var[c] + epsilon);
      newMean[c] = rm[c] + momentum * (mean[c] - rm[c]);
      newVar[c] = rv[c] + momentum * ((unbiased ? var[c] * rows / (rows - 1) : var[c]) - rv[c]);
      double gx = 0, g = 0;
      for (unsigned r = 0; r < ranks; r++) { gx += sums[r * 2 * channels + c]; g += sums[(r * 2 + 1) * channels + c]; }
      scale[c] = double(gamma[c]) * inverses[c] * (own[c] / 3.0 - gx / rows);
      shift[c] = double(gamma[c]) * inverses[c] * (own[channels + c] / 3.0 - g / rows);
    }
    Array<float> alls(all), means(channels), vars(channels), outInverse(channels), runningMean(rm), runningVar(rv);
    run("merge_moments", blocks(grid), means, vars, outInverse, runningMean, runningVar, alls, ranks, channels, momentum, epsilon, unbiased);
    std::string what = " of " + std::to_string(ranks) + " ranks, " + std::to_string(channels) + " channels";
    expect_near("mean" + what, means.read(), mean, 1e-6);
    expect_near("variance" + what, vars.read(), var, 1e-6);
    expect_near("inverse" + what, outInverse.read(), inverse, 1e-6);
    expect_near("running mean" + what, runningMean.read(), newMean, 1e-6);
    expect_near("running variance" + what, runningVar.read(), newVar, 1e-6);
    Array<float> owns(own), allSums(sums), gammas(gamma), givenInverse(inverses), outScale(channels), outShift(channels);
    run("merge_sums", blocks(grid), outScale, outShift, owns, allSums, alls, gammas, givenInverse, ranks, 3u, channels);
    expect_near("scale" + what, outScale.read(), scale, 1e-5);
    expect_near("shift" + what, outShift.read(), shift, 1e-5);
  }
}
