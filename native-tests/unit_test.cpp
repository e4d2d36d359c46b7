// unit_test.cpp -- kernels/unit_forward.cu, unit_backward.cu and unit_pool.cu against the formulas in double
#include "kernel_test.h"

/** As ChannelSums.java plans it: 4 channels a lane where they divide. */
static Launch unit_sums(unsigned channels, unsigned splits) {
  unsigned lanes = channels % 4 == 0 ? channels / 4 : channels, width = 1;
  while (width < 32 && width < lanes) width *= 2;
  return {(lanes + width - 1) / width, splits, width, 256 / width, 0};
}

TEST(unit_gives_bits_and_gradients_of_batch_norm_shortcut_and_maxout) {
  each_element([](auto zero) {
    using E = decltype(zero);
    for (unsigned at = 0; at < 8; at++) {
      const bool adabin = at % 2 == 1;   // the slope that has an entry of its own, or another
      const unsigned channels = std::vector<unsigned>{3, 16, 32, 100}[at / 2];
      const unsigned splits = channels == 3 ? 53 : channels == 16 ? 20 : 2;   // 53: three groups of splits, all with rows of their own; 20: blocks of several tiles
      const unsigned n = splits > 2 ? 450 : 2, p = 5, q = 3, rows = n * p * q, size = rows * channels, words = (channels + 31) / 32;
      Random random(channels);
      std::vector<float> y = rounded<E>(random.normal(size, 5, 2)), x = rounded<E>(random.normal(size)), gq = rounded<E>(random.normal(size));
      std::vector<float> over = rounded<E>(random.normal(size)), gamma = random.normal(channels), beta = random.normal(channels);
      std::vector<float> positive = random.normal(channels), negative = random.normal(channels), ones(channels, 1);
      float alpha = 0.8f, centre = 0.3f, k = 2, t0 = 1.5f;
      Array<double> partial(splits * 4 * channels), ofSet(2 * 64);
      Array<unsigned> counters(std::vector<unsigned>(64, 0)), bits(rows * words);
      Array<E> dy(elements<E>(y)), dx(elements<E>(x)), dgq(elements<E>(gq)), dover(elements<E>(over)), z(size), gradT(size), gradY(size);
      Array<float> dgamma(gamma), dbeta(beta), dpos(positive), dneg(negative), mean(channels), inverse(channels), rm(ones), rv(ones);
      Array<float> da(std::vector<float>{alpha}), db(std::vector<float>{centre}), setCentre(1), setDistance(1), ga(1), gb(1);
      Array<float> gGamma(channels), gBeta(channels), gPos(channels), gNeg(channels), meanG(channels), meanGx(channels);
      auto unit = [&](Fields& f) -> Fields& {
        f(dy)(dgamma)(dbeta)(mean)(inverse)(dx)(1)(p)(q)(channels)(1)(1);
        return f(dpos)(dneg)(1);
      };
      Launch launch = unit_sums(channels, splits);
      run(entry<E>("unit_statistics"), {splits, (channels + 63) / 64, 128, 1, 0}, Fields()(partial)(counters)(dy).none()(mean)(inverse)(rm)(rv)(0.1f)(1e-5f)(1)(rows)(channels)(channels));
      Fields forward = Fields()(bits)(z)(setCentre)(setDistance);
      run(entry<E>("unit_forward"), blocks(2), unit(forward)(da)(db)(2)(1)(rows)(channels)(p)(q));
      Fields backward = Fields()(gradT)(partial)(ofSet)(counters)(ga)(gb)(gGamma)(gBeta)(gPos)(gNeg)(meanG)(meanGx);
      backward(dgq).none()(adabin ? 2 : 3)(k)(t0)(da)(db)(2)(1)(dover)(1)(p)(q)(channels)(1)(1);
      run(adabin ? entry<E>("unit_backward_adabin") : entry<E>("unit_backward"), {splits, (channels + 63) / 64, 128, 1, 0}, unit(backward)(rows)(channels)(p)(q));
      run(entry<E>("unit_backward_apply"), blocks(2),
          Fields()(gradY)(gradT)(dy)(meanG)(meanGx)(dgamma)(dbeta)(mean)(inverse)(size)(channels));

      std::vector<float> storedZ = values(z.read());
      std::vector<unsigned> packed = bits.read();
      std::vector<double> m(channels), s(channels), wantZ(size), wantT(size), wantY(size), pos(channels), neg(channels), g0(channels), g1(channels);
      double wantAlpha = 0, wantBeta = 0;
      for (unsigned c = 0; c < channels; c++) {
        double var = 0;
        for (unsigned r = 0; r < rows; r++) m[c] += double(y[r * channels + c]) / rows;
        for (unsigned r = 0; r < rows; r++) var += std::pow(y[r * channels + c] - m[c], 2) / rows;
        s[c] = 1 / std::sqrt(var + 1e-5);
        for (unsigned r = 0; r < rows; r++) {
          unsigned i = r * channels + c;
          double xhat = (y[i] - m[c]) * s[c], t = xhat * gamma[c] + beta[c] + x[i], u = (storedZ[i] - centre) / alpha, tanh = std::tanh(t0 * u);
          double slope = adabin ? std::max(0.0, 2 - 2 * std::fabs(u)) : k * t0 * (1 - tanh * tanh), g = gq[i] * slope + over[i];
          wantZ[i] = t > 0 ? positive[c] * t : negative[c] * t;
          wantAlpha += gq[i] * ((u >= 0 ? 1 : -1) + centre - u * slope);
          wantBeta += gq[i] * (alpha - slope);
          pos[c] += g * std::max(t, 0.0);
          neg[c] += g * std::min(t, 0.0);
          wantT[i] = g * (t > 0 ? positive[c] : negative[c]);
          g0[c] += wantT[i];
          g1[c] += wantT[i] * xhat;
          expect(sign_bit(packed, r, channels, c) == (storedZ[i] >= centre ? 1 : -1), "bit " + std::to_string(i));
        }
        for (unsigned r = 0; r < rows; r++) {
          unsigned i = r * channels + c;
          wantY[i] = gamma[c] * s[c] * (wantT[i] - g0[c] / rows - (y[i] - m[c]) * s[c] * g1[c] / rows);
        }
      }
      double near = sizeof(E) == 4 ? 1e-5 : 1e-2;
      std::string what = " of " + std::to_string(channels) + " channels, " + std::to_string(sizeof(E)) + " bytes" + (adabin ? ", AdaBin's entry" : "");
      expect_near("mean" + what, mean.read(), m, 1e-6);
      expect_near("z" + what, storedZ, wantZ, near);
      expect_near("gradT" + what, values(gradT.read()), wantT, near);
      expect_near("gradY" + what, values(gradY.read()), wantY, near);
      expect_near("gradBeta" + what, gBeta.read(), g0, near);
      expect_near("gradGamma" + what, gGamma.read(), g1, near);
      expect_near("gradPositive" + what, gPos.read(), pos, near);
      expect_near("gradNegative" + what, gNeg.read(), neg, near);
      expect_near("gradients of the set" + what, {ga.read()[0], gb.read()[0]}, std::vector<double>{wantAlpha, wantBeta}, near);
      expect_near("the set" + what, {setCentre.read()[0], setDistance.read()[0]}, std::vector<double>{alpha * centre, alpha}, 1e-6);
      expect_equal("counters" + what, counters.read(), std::vector<unsigned>(64, 0));

      Fields join = Fields()(gradT)(partial)(ofSet)(counters)(ga)(gb).none(6);
      join(dgq)(z)(3)(k)(t0)(da)(db)(2)(1)(dover)(1)(p)(q)(channels)(1)(1).none(15);
      run(entry<E>("unit_join"), launch, join(rows)(channels)(p)(q));
      for (unsigned i = 0; i < size; i++) {
        double tanh = std::tanh(t0 * (storedZ[i] - centre) / alpha);
        wantT[i] = gq[i] * k * t0 * (1 - tanh * tanh) + over[i];
      }
      expect_near("gradZ" + what, values(gradT.read()), wantT, near);
    }
  });
}

TEST(unit_pool_gives_the_largest_of_each_window_and_its_gradients) {
  each_element([](auto zero) {
    using E = decltype(zero);
    for (unsigned at = 0; at < 4; at++) {
      const unsigned channels = at % 2 ? 72 : 3;
      const int n = 2, h = at < 2 ? 7 : 14, w = 6, size = 3, stride = 2, pad = 1, p = (h + 2 * pad - size) / stride + 1, q = (w + 2 * pad - size) / stride + 1;
      const unsigned rows = n * h * w, all = rows * channels, out = n * p * q * channels, splits = 2;
      Random random(channels);
      std::vector<float> y = rounded<E>(random.normal(all)), gz = rounded<E>(random.normal(out)), gamma = random.normal(channels), beta = random.normal(channels);
      std::vector<float> mean = random.normal(channels), inverse = random.uniform(channels, 0.5f, 2);
      Array<double> partial(splits * 4 * channels);
      Array<unsigned> counters(std::vector<unsigned>(64, 0));
      Array<E> dy(elements<E>(y)), z(out), dgz(elements<E>(gz)), gradY(all);
      Array<unsigned char> chosen(out);
      Array<float> dgamma(gamma), dbeta(beta), dmean(mean), dinverse(inverse), gGamma(channels), gBeta(channels), meanG(channels), meanGx(channels);
      auto windows = [&](Fields& f) -> Fields& { return f(dy)(dgamma)(dbeta)(dmean)(dinverse).none(2)(2)(h)(w)(p)(q)(size)(stride)(pad); };
      Fields forward = Fields()(z)(chosen);
      run(entry<E>("unit_pool_forward"), blocks(2), windows(forward)(out)(channels));
      Fields backward = Fields()(gradY)(partial)(counters)(gGamma)(gBeta).none(2)(meanG)(meanGx)(dgz)(chosen);
      windows(backward)(rows)(channels);
      run(entry<E>("unit_pool_backward"), {splits, (channels + 63) / 64, 128, 1, 0}, backward);
      run(entry<E>("unit_pool_backward_apply"), {2, 1, 128, 1, 0}, backward);

      std::vector<double> wantZ(out), g(all), wantY(all), g0(channels), g1(channels);
      auto relu = [&](unsigned i, unsigned c) { return std::max(0.0, (double(y[i]) - mean[c]) * inverse[c] * gamma[c] + beta[c]); };
      for (int image = 0; image < n; image++) for (int pp = 0; pp < p; pp++) for (int qq = 0; qq < q; qq++) for (unsigned c = 0; c < channels; c++) {
        unsigned o = ((image * p + pp) * q + qq) * channels + c, best = ~0u;
        for (int hh = std::max(0, pp * stride - pad); hh < std::min(h, pp * stride - pad + size); hh++) {
          for (int ww = std::max(0, qq * stride - pad); ww < std::min(w, qq * stride - pad + size); ww++) {
            unsigned i = ((image * h + hh) * w + ww) * channels + c;
            if (best == ~0u || value(element<E>(float(relu(i, c)))) > value(element<E>(float(relu(best, c))))) best = i;
          }
        }
        wantZ[o] = relu(best, c);
        if (relu(best, c) > 0) g[best] += gz[o];
      }
      for (unsigned i = 0; i < all; i++) {
        unsigned c = i % channels;
        g0[c] += g[i];
        g1[c] += g[i] * (y[i] - mean[c]) * inverse[c];
      }
      for (unsigned i = 0; i < all; i++) {
        unsigned c = i % channels;
        wantY[i] = gamma[c] * inverse[c] * (g[i] - g0[c] / rows - (y[i] - mean[c]) * inverse[c] * g1[c] / rows);
      }
      double near = sizeof(E) == 4 ? 1e-5 : 1e-2;
      std::string what = " of " + std::to_string(channels) + " channels, " + std::to_string(h) + " rows, " + std::to_string(sizeof(E)) + " bytes";
      expect_near("z" + what, values(z.read()), wantZ, near);
      expect_equal("counters" + what, counters.read(), std::vector<unsigned>(64, 0));
      expect_near("gradBeta" + what, gBeta.read(), g0, near);
      expect_near("gradGamma" + what, gGamma.read(), g1, near);
      expect_near("gradY" + what, values(gradY.read()), wantY, near);
    }
  });
}
