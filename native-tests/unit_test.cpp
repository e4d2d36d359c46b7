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
    for (unsigned at = 0; at < 10; at++) {
      const bool adabin = at % 2 == 1;   // the slope that has an entry of its own, or another
      const unsigned channels = std::vector<unsigned>{3, 16, 32, 100, 96}[at / 2];   // 96: threads of a block are left over; a set with alpha below 0
      const unsigned splits = channels == 3 ? 53 : channels == 16 ? 20 : 2;   // 53: three groups of splits, all with rows of their own; 20: blocks of several tiles
      const unsigned n = splits > 2 ? 450 : 2, p = 5, q = 3, rows = n * p * q, size = rows * channels, words = (channels + 31) / 32;
      Random random(channels);
      std::vector<float> y = rounded<E>(random.normal(size, 5, 2)), x = rounded<E>(random.normal(size)), gq = rounded<E>(random.normal(size));
      std::vector<float> over = rounded<E>(random.normal(size)), gamma = random.normal(channels), beta = random.normal(channels);
      std::vector<float> positive = random.normal(channels), negative = random.normal(channels), ones(channels, 1);
      float alpha = channels == 96 ? -0.8f : 0.8f, centre = 0.3f, k = 2, t0 = 1.5f;
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
      run(adabin && channels % 8 == 0 ? entry<E>("unit_backward_adabin") : entry<E>("unit_backward"), {splits, (channels + 63) / 64, 128, 1, 0}, unit(backward)(rows)(channels)(p)(q));
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
          expect(sign_bit(packed, r, channels, c) == (u >= 0 ? 1 : -1), "bit " + std::to_string(i));
        }
        for (unsigned r = 0; r < rows; r++) {
          unsigned i = r * channels + c;
          wantY[i] = gamma[c] * s[c] * (wantT[i] - g0[c] / rows - (y[i] - m[c]) * s[c] * g1[c] / rows);
        }
      }
      double near = sizeof(E) == 4 ? 1e-5 : 1e-2;
      std::string what = " of " + std::to_string(channels) + " channels, " + std::to_string(sizeof(E)) + " bytes" + (adabin ? ", AdaBin's slope" : "");
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
      join(dgq)(z)(adabin ? 2 : 3)(k)(t0)(da)(db)(2)(1)(dover)(1)(p)(q)(channels)(1)(1).none(15);
      run(entry<E>("unit_join"), launch, join(rows)(channels)(p)(q));
      for (unsigned i = 0; i < size; i++) {
        double u = (storedZ[i] - centre) / alpha, tanh = std::tanh(t0 * u);
        wantT[i] = gq[i] * (adabin ? std::max(0.0, 2 - 2 * std::fabs(u)) : k * t0 * (1 - tanh * tanh)) + over[i];
      }
      expect_near("gradZ" + what, values(gradT.read()), wantT, near);
      expect_near("gradients of the set by the join" + what, {ga.read()[0], gb.read()[0]}, std::vector<double>{wantAlpha, wantBeta}, near);
    }
  });
}

/** A nonlinearity by its number in unit.cuh, and its slope. */
static double bent(int kind, double t, double positive, double negative) {
  return kind == 0 ? t : kind == 1 ? (t > 0 ? positive : negative) * t : kind == 2 ? std::max(0.0, t) : kind == 3 ? std::clamp(t, -1.0, 1.0) : std::tanh(t);
}
static double slope_of(int kind, double t, double positive, double negative) {
  return kind == 0 ? 1 : kind == 1 ? (t > 0 ? positive : negative) : kind == 2 ? t > 0 : kind == 3 ? std::abs(t) < 1 : 1 - std::tanh(t) * std::tanh(t);
}

TEST(unit_pool_gives_the_largest_of_each_window_and_its_gradients) {
  struct Case {
    unsigned channels;
    int h, w, size, stride, pad, kind;
  };
  // what has a way of its own: windows of 3 over even sides, in one part of a column and in several, windows of 2 over even sides, and windows of one pixel; of each one
  // of many tiles
  const Case cases[] = {{3, 7, 6, 3, 2, 1, 2}, {72, 7, 6, 3, 2, 1, 1}, {3, 14, 6, 3, 2, 1, 2}, {72, 14, 6, 3, 2, 1, 2}, {72, 36, 2, 3, 2, 1, 0}, {4, 48, 32, 3, 2, 1, 1},
                        {72, 14, 6, 3, 2, 1, 3}, {68, 9, 8, 1, 1, 0, 3}, {8, 4, 4, 3, 2, 1, 4}, {20, 5, 3, 1, 1, 0, 1}, {4, 20, 22, 1, 1, 0, 0}, {640, 2, 2, 1, 1, 0, 2},
                        {5, 4, 3, 1, 1, 0, 4}, {12, 6, 5, 2, 2, 0, 4}, {4, 20, 21, 2, 2, 0, 1},
                        {72, 6, 10, 2, 2, 0, 2}, {4, 42, 44, 2, 2, 0, 1}, {3, 4, 6, 2, 2, 0, 2}, {136, 2, 2, 2, 2, 0, 0}, {12, 8, 6, 2, 2, 0, 3}};
  each_element([&](auto zero) {
    using E = decltype(zero);
    for (const Case& of : cases) {
      const unsigned channels = of.channels;
      const int n = 2, h = of.h, w = of.w, size = of.size, stride = of.stride, pad = of.pad, p = (h + 2 * pad - size) / stride + 1, q = (w + 2 * pad - size) / stride + 1;
      const unsigned rows = n * h * w, all = rows * channels, out = n * p * q * channels, splits = 2;
      Random random(channels);
      std::vector<float> y = rounded<E>(random.normal(all)), gz = rounded<E>(random.normal(out)), gamma = random.normal(channels), beta = random.normal(channels);
      std::vector<float> mean = random.normal(channels), inverse = random.uniform(channels, 0.5f, 2), positive = random.normal(channels), negative = random.normal(channels);
      Array<double> partial(splits * 4 * channels);
      Array<unsigned> counters(std::vector<unsigned>(64, 0));
      Array<E> dy(elements<E>(y)), z(out), dgz(elements<E>(gz)), gradY(all);
      Array<unsigned char> chosen(out);
      Array<float> dgamma(gamma), dbeta(beta), dmean(mean), dinverse(inverse), dpos(positive), dneg(negative), gGamma(channels), gBeta(channels), gPos(channels), gNeg(channels);
      Array<float> meanG(channels), meanGx(channels);
      auto picks = [&](Fields& f) -> Fields& { return size > 1 ? f(chosen) : f.none(1); };
      auto windows = [&](Fields& f) -> Fields& {
        f(dy)(dgamma)(dbeta)(dmean)(dinverse);
        return (of.kind == 1 ? f(dpos)(dneg) : f.none(2))(of.kind)(h)(w)(p)(q)(size)(stride)(pad);
      };
      Fields forward = Fields()(z);
      windows(picks(forward))(out)(channels);
      run(entry<E>("unit_pool_forward"), blocks(2), forward);
      Fields backward = Fields()(gradY)(partial)(counters)(gGamma)(gBeta);
      (of.kind == 1 ? backward(gPos)(gNeg) : backward.none(2))(meanG)(meanGx)(dgz);
      windows(picks(backward))(rows)(channels);
      run(entry<E>("unit_pool_backward"), {splits, (channels + 63) / 64, 128, 1, 0}, backward);
      run(entry<E>("unit_pool_backward_apply"), {2, 1, 128, 1, 0}, backward);

      std::string what = " of " + std::to_string(channels) + " channels, " + std::to_string(h) + " rows, windows of " + std::to_string(size) + ", nonlinearity " +
                         std::to_string(of.kind) + ", " + std::to_string(sizeof(E)) + " bytes";
      std::vector<double> wantZ(out), g(all), gv(all), wantY(all), g0(channels), g1(channels), pos(channels), neg(channels);
      std::vector<unsigned char> picked = size > 1 ? chosen.read() : std::vector<unsigned char>(out);
      auto norm = [&](unsigned i, unsigned c) { return (double(y[i]) - mean[c]) * inverse[c] * gamma[c] + beta[c]; };
      auto of_f = [&](unsigned i, unsigned c) { return bent(of.kind, norm(i, c), positive[c], negative[c]); };
      unsigned elsewhere = 0;
      for (int image = 0; image < n; image++) for (int pp = 0; pp < p; pp++) for (int qq = 0; qq < q; qq++) for (unsigned c = 0; c < channels; c++) {
        unsigned o = ((image * p + pp) * q + qq) * channels + c, best = ~0u, code = 0;
        for (int hh = std::max(0, pp * stride - pad); hh < std::min(h, pp * stride - pad + size); hh++) {
          for (int ww = std::max(0, qq * stride - pad); ww < std::min(w, qq * stride - pad + size); ww++) {
            unsigned i = ((image * h + hh) * w + ww) * channels + c;
            if (best != ~0u && !(value(element<E>(float(of_f(i, c)))) > value(element<E>(float(of_f(best, c)))))) continue;
            best = i, code = unsigned(16 * (hh - pp * stride + pad) + ww - qq * stride + pad);
          }
        }
        elsewhere += picked[o] != code;
        wantZ[o] = of_f(best, c);
        gv[best] += gz[o];
      }
      expect(elsewhere == 0, std::to_string(elsewhere) + " windows chose another pixel than the first of the largest" + what);
      for (unsigned i = 0; i < all; i++) {
        unsigned c = i % channels;
        double t = norm(i, c);
        g[i] = gv[i] * slope_of(of.kind, t, positive[c], negative[c]);
        g0[c] += g[i];
        g1[c] += g[i] * (y[i] - mean[c]) * inverse[c];
        pos[c] += gv[i] * std::max(t, 0.0);
        neg[c] += gv[i] * std::min(t, 0.0);
      }
      for (unsigned i = 0; i < all; i++) {
        unsigned c = i % channels;
        wantY[i] = gamma[c] * inverse[c] * (g[i] - g0[c] / rows - (y[i] - mean[c]) * inverse[c] * g1[c] / rows);
      }
      double near = sizeof(E) == 4 ? 1e-5 : 1e-2;
      expect_near("z" + what, values(z.read()), wantZ, near);
      expect_equal("counters" + what, counters.read(), std::vector<unsigned>(64, 0));
      expect_near("gradBeta" + what, gBeta.read(), g0, near);
      expect_near("gradGamma" + what, gGamma.read(), g1, near);
      expect_near("gradY" + what, values(gradY.read()), wantY, near);
      if (of.kind != 1) continue;
      expect_near("gradPositive" + what, gPos.read(), pos, near);
      expect_near("gradNegative" + what, gNeg.read(), neg, near);
    }
  });
}
