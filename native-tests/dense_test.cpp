// dense_test.cpp -- kernels/dense.cu against copies and sums in double
#include "kernel_test.h"

TEST(dense_puts_takes_and_appends_channels_with_their_moments) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (auto [pitch, from, channels] : {std::array{96u, 64u, 32u}, {96u, 0u, 64u}, {7u, 3u, 4u}, {40u, 33u, 5u}, {36u, 4u, 28u}}) for (int unbiased : {0, 1}) {
      unsigned rows = 37, n = rows * channels, lanes = channels % 4 == 0 ? channels / 4 : channels, width = 1, splits = 3;
      while (width < lanes && width < 32) width *= 2;
      std::vector<float> y = rounded<E>(Random(pitch + from).normal(n, 2, 3)), wide(rows * pitch, 5);
      Array<E> x(elements<E>(wide)), piece(elements<E>(y)), taken(n), put(elements<E>(wide));
      Array<double> partial(splits * 2 * channels);
      std::vector<float> before(pitch, -7);   // of channels that were appended earlier, or will be
      Array<float> mean(before), inverse(before), var(before);
      run(entry<E>("dense_append"), {(lanes + width - 1) / width, splits, width, 256 / width, 0}, partial, x, piece, rows, channels, pitch, from);
      run(entry<E>("dense_moments"), blocks((channels + 255) / 256), mean, inverse, var, piece, partial, splits, rows, channels, from, 1e-3f, unbiased);
      Array<float> runningMean(std::vector<float>(pitch, 2)), runningVar(std::vector<float>(pitch, 3));
      run("dense_running", blocks((pitch + 255) / 256), runningMean, runningVar, mean, var, 0.1f, from + channels);
      std::vector<float> m = mean.read(), v = var.read();
      std::vector<double> movedMean(pitch, 2), movedVar(pitch, 3);
      for (unsigned c = 0; c < from + channels; c++) movedMean[c] += 0.1 * (m[c] - 2), movedVar[c] += 0.1 * (v[c] - 3);
      expect_near("running mean", runningMean.read(), movedMean, 1e-6);
      expect_near("running var", runningVar.read(), movedVar, 1e-6);
      run(entry<E>("dense_put"), blocks(2), put, piece, n, channels, pitch, from);
      run(entry<E>("dense_take"), blocks(2), taken, x, n, channels, pitch, from);
      std::vector<double> wantedMean, wantedInverse, wantedVar;
      for (unsigned c = 0; c < channels; c++) {
        double sum = 0, squares = 0;
        for (unsigned r = 0; r < rows; r++) sum += y[r * channels + c], wide[r * pitch + from + c] = y[r * channels + c];
        for (unsigned r = 0; r < rows; r++) squares += std::pow(y[r * channels + c] - sum / rows, 2);
        wantedMean.push_back(sum / rows);
        wantedInverse.push_back(1 / std::sqrt(squares / rows + double(1e-3f)));
        wantedVar.push_back(squares / (unbiased ? rows - 1 : rows));
      }
      auto part = [&](const Array<float>& all) {
        std::vector<float> values = all.read();
        for (unsigned c = 0; c < pitch; c++) expect((c >= from && c < from + channels) || values[c] == -7, "moments of channel " + std::to_string(c) + " are left alone");
        return std::vector<float>(values.begin() + from, values.begin() + from + channels);
      };
      expect_equal("appended", values(x.read()), wide);
      expect_equal("put", values(put.read()), wide);
      expect_equal("taken", values(taken.read()), y);
      expect_near("mean", part(mean), wantedMean, 1e-6);
      expect_near("inverse", part(inverse), wantedInverse, 1e-6);
      expect_near("var", part(var), wantedVar, 1e-6);
    }
  });
}

TEST(dense_sign_gives_bits_of_the_norm_and_goes_back_through_it) {
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (auto [channels, pitch, gradPitch] : {std::array{64u, 96u, 64u}, {32u, 40u, 36u}, {5u, 7u, 6u}, {8u, 8u, 8u}, {100u, 128u, 104u}, {36u, 45u, 40u}}) {
      unsigned rows = 411, n = rows * channels, words = (channels + 31) / 32, splits = 2;
      Random random(channels + pitch);
      std::vector<float> x = rounded<E>(random.normal(rows * pitch)), g = rounded<E>(random.normal(n)), sums = rounded<E>(random.normal(rows * gradPitch));
      std::vector<float> gamma = random.normal(channels), beta = random.normal(channels), mean = random.normal(channels), inverse = random.uniform(channels, 0.5f, 2);
      std::vector<float> var = random.uniform(channels, 0.5f, 2), oldMean = random.normal(channels), oldVar = random.uniform(channels, 0.5f, 2);
      Slope f{1, 1.3f, 0};
      for (unsigned i = 0; i < n; i++) {   // off the steps of bit and slope: a GPU, which rounds a product and its sum once, may stand on their other side
        unsigned c = i % channels;
        float& v = x[i / channels * pitch + c];
        auto from = [&](double step) { return std::abs(std::abs((double(v) - mean[c]) * gamma[c] * inverse[c] + beta[c]) - step); };
        while (std::min(from(0), from(f.a)) < 1e-4) v = v == 0 ? 1 : 2 * v;
      }
      std::vector<unsigned> bits(rows * words);
      std::vector<double> gradGamma(channels), gradBeta(channels), h(n), wanted(sums.begin(), sums.end()), newMean, newVar;
      for (unsigned i = 0; i < n; i++) {
        unsigned r = i / channels, c = i % channels;
        float t = (x[r * pitch + c] - mean[c]) * (gamma[c] * inverse[c]) + beta[c];   // float32 like the op: a step of a slope stays on its side
        if (t >= 0) bits[r * words + c / 32] |= 1u << c % 32;
        h[i] = double(g[i]) * f.slope(t);
        gradBeta[c] += h[i];
        gradGamma[c] += h[i] * (double(x[r * pitch + c]) - mean[c]) * inverse[c];
      }
      for (unsigned i = 0; i < n; i++) {
        unsigned r = i / channels, c = i % channels;
        double hat = (double(x[r * pitch + c]) - mean[c]) * inverse[c];
        wanted[r * gradPitch + c] += double(gamma[c]) * inverse[c] * (h[i] - gradBeta[c] / rows - hat * gradGamma[c] / rows);
      }
      for (unsigned c = 0; c < channels; c++) newMean.push_back(oldMean[c] + 0.1 * (mean[c] - oldMean[c])), newVar.push_back(oldVar[c] + 0.1 * (var[c] - oldVar[c]));
      Array<E> deviceX(elements<E>(x)), deviceG(elements<E>(g)), gradX(elements<E>(sums));
      Array<float> deviceGamma(gamma), deviceBeta(beta), deviceMean(mean), deviceInverse(inverse), deviceVar(var), runningMean(oldMean), runningVar(oldVar);
      Array<float> outGamma(channels), outBeta(channels), meanH(channels), meanHx(channels);
      Array<unsigned> packed(rows * words), counters(std::vector<unsigned>(8, 0));
      Array<double> partial(splits * 2 * channels);
      run(entry<E>("dense_sign"), blocks(3), packed, deviceX, deviceGamma, deviceBeta, deviceMean, deviceInverse, deviceVar, runningMean, runningVar, 0.1f, rows, channels, pitch);
      expect_equal("bits", packed.read(), bits);
      expect_near("running mean", runningMean.read(), newMean, 1e-6);
      expect_near("running var", runningVar.read(), newVar, 1e-6);
      run(entry<E>("dense_sign_sums"), {splits, (channels + 63) / 64, 128, 1, 0}, partial, counters, outGamma, outBeta, meanH, meanHx, deviceG, deviceX, deviceGamma, deviceBeta,
          deviceMean, deviceInverse, f.kind, f.a, f.b, rows, channels, pitch);
      expect_equal("counters", counters.read(), std::vector<unsigned>(8, 0));
      run(entry<E>("dense_sign_backward"), blocks(3), gradX, deviceG, deviceX, deviceGamma, deviceBeta, deviceMean, deviceInverse, meanH, meanHx, f.kind, f.a, f.b, n, channels,
          pitch, gradPitch);
      expect_near("gradGamma", outGamma.read(), gradGamma, 1e-5);
      expect_near("gradBeta", outBeta.read(), gradBeta, 1e-5);
      expect_elements("gradX", gradX, wanted, 1e-5);
    }
  });
}
