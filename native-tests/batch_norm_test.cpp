// batch_norm_test.cpp -- kernels/batch_norm.cu against the formulas in double
#include "kernel_test.h"

TEST(batch_norm_normalises_forward_and_backward) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    const unsigned cases[][4] = {{1, 1, 1, 1}, {7, 3, 4, 2}, {50, 16, 16, 3}, {129, 33, 32, 4}, {64, 100, 32, 1}, {990, 33, 32, 53}};   // rows, channels, width, splits: 53 are three groups
    for (auto& k : cases) for (int unbiased : {0, 1}) {
      unsigned rows = k[0], channels = k[1], n = rows * channels, splits = k[3], grid = (channels + 255) / 256;
      Launch launch = sums(channels, k[2], splits);
      Random random(n);
      float momentum = 0.1f, epsilon = 1e-5f;
      std::vector<float> x = rounded<E>(random.normal(n, 100, 2)), g = rounded<E>(random.normal(n)), gamma = random.normal(channels), beta = random.normal(channels);
      std::vector<float> rm = random.normal(channels), rv = random.uniform(channels, 0.5f, 2);
      std::vector<double> mean(channels), inverse(channels), y(n), gradX(n), gradGamma(channels), gradBeta(channels), newMean(channels), newVar(channels);
      for (unsigned c = 0; c < channels; c++) {
        double sum = 0, squares = 0, gs = 0, gx = 0;
        for (unsigned r = 0; r < rows; r++) sum += x[r * channels + c];
        mean[c] = sum / rows;
        for (unsigned r = 0; r < rows; r++) squares += std::pow(x[r * channels + c] - mean[c], 2);
        double var = squares / rows;
        inverse[c] = 1 / std::sqrt(var + epsilon);
        newMean[c] = rm[c] + momentum * (mean[c] - rm[c]);
        newVar[c] = rv[c] + momentum * ((unbiased && rows > 1 ? squares / (rows - 1) : var) - rv[c]);
        for (unsigned r = 0; r < rows; r++) {
          unsigned i = r * channels + c;
          double xhat = (x[i] - mean[c]) * inverse[c];
          y[i] = xhat * gamma[c] + beta[c];
          gs += g[i];
          gx += g[i] * xhat;
        }
        gradGamma[c] = gx;
        gradBeta[c] = gs;
        for (unsigned r = 0; r < rows; r++) {
          unsigned i = r * channels + c;
          gradX[i] = gamma[c] * inverse[c] * (g[i] - gs / rows - (x[i] - mean[c]) * inverse[c] * gx / rows);
        }
      }
      Array<E> deviceX(elements<E>(x)), deviceG(elements<E>(g)), outY(n), outX(n);
      Array<float> gammas(gamma), betas(beta), means(channels), inverses(channels), runningMean(rm), runningVar(rv);
      Array<float> outGamma(channels), outBeta(channels), meanG(channels), meanGx(channels), fromVar(channels), one(1);
      Array<double> partial(splits * 2 * channels);
      Array<unsigned> counters(std::vector<unsigned>(launch.gridX * ((splits + 23) / 24 + 1)));
      Array<E> alsoY(n), alsoX(n);
      Array<float> passedMean(rm), passedVar(rv);
      run(entry<E>("batch_norm_sums"), launch, partial, counters, means, inverses, passedMean, passedVar, alsoY, deviceX, gammas, betas, rows, channels, momentum, epsilon, unbiased);
      run(entry<E>("batch_norm_sums"), launch, partial, counters, means, inverses, runningMean, runningVar, nullptr, deviceX, gammas, betas, rows, channels, momentum, epsilon, unbiased);
      run(entry<E>("batch_norm_apply"), blocks(3), outY, deviceX, gammas, betas, means, inverses, n, channels);
      std::string what = " of " + std::to_string(rows) + " x " + std::to_string(channels);
      expect_equal("y of one launch" + what, values(alsoY.read()), values(outY.read()));
      expect_near("mean" + what, means.read(), mean, 1e-6);
      expect_near("inverse" + what, inverses.read(), inverse, 1e-4);
      expect_near("running mean" + what, runningMean.read(), newMean, 1e-6);
      expect_near("running variance" + what, runningVar.read(), newVar, 1e-5);
      if (rows > 1) expect_elements("y" + what, outY, y, 1e-4);
      run(entry<E>("batch_norm_backward_sums"), launch, partial, counters, outGamma, outBeta, meanG, meanGx, alsoX, deviceG, deviceX, gammas, means, inverses, rows, channels);
      run(entry<E>("batch_norm_backward_sums"), launch, partial, counters, outGamma, outBeta, meanG, meanGx, nullptr, deviceG, deviceX, gammas, means, inverses, rows, channels);
      run(entry<E>("batch_norm_backward_apply"), blocks(2), outX, deviceG, deviceX, gammas, means, inverses, meanG, meanGx, n, channels);
      expect_equal("gradX of one launch" + what, values(alsoX.read()), values(outX.read()));
      expect_equal("counters" + what, counters.read(), std::vector<unsigned>(counters.n));
      expect_near("gradBeta" + what, outBeta.read(), gradBeta, 1e-5);
      if (rows > 1) {
        expect_near("gradGamma" + what, outGamma.read(), gradGamma, 1e-3);
        expect_elements("gradX" + what, outX, gradX, 1e-3);
      }
      std::vector<float> var = random.uniform(channels, 0, 2);
      std::vector<double> wanted;
      for (float v : var) wanted.push_back(1 / std::sqrt(double(v) + epsilon));
      Array<float> vars(var);
      run("batch_norm_inverse", blocks(grid), fromVar, vars, epsilon, channels);
      expect_near("inverse of running variance", fromVar.read(), wanted, 1e-6);
    }
  });
}
