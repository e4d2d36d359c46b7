// unit_product_test.cpp -- kernels/unit_product.cu against the real-valued convolution, and bit for bit against the passes over a stored y
#include "kernel_test.h"
#include <deque>

namespace {
struct Case {
  int n, h, w, c, o, r, stride, pad, slope;   // the last as kernels/slope.cuh says
};
const Case kCases[] = {{2, 5, 4, 33, 33, 3, 1, 1, 3}, {3, 1, 1, 20, 8, 3, 1, 1, 1}, {3, 9, 9, 32, 70, 3, 1, 1, 5}, {5, 9, 8, 64, 64, 3, 2, 1, 2}, {4, 10, 9, 64, 64, 3, 1, 1, 1},
                       {70, 1, 2, 40, 72, 3, 1, 1, 1}, {5, 9, 8, 130, 64, 3, 1, 1, 1}, {2, 14, 13, 256, 40, 3, 2, 1, 2}};

struct Entries {
  std::string statistics, forward, backward, apply;
  int fewest = 0, most = 0;   // channels of the first of them where it has an image of x, as kernels/xnor_held.cuh and xnor_planes.cuh say
};

/** The same sums over y + x, which lies among the channels of wider rows; the variance instead of running statistics, then no sums at all. */
template <class E, class Ends>
void widened(const std::string& what, const Entries& of, const Launch& tiled, const Launch& sums, Ends ends, const Array<E>& x, const std::vector<float>& storedY, unsigned channels,
             const Array<unsigned>& counters) {
  const unsigned rows = unsigned(storedY.size()) / channels;
  std::vector<float> shortcut = values(x.read());
  for (unsigned from : {8u, 3u}) {
    const unsigned pitch = channels + 2 * from;
    std::vector<float> wanted(rows * pitch, 5);
    std::vector<double> wantMean(channels), wantInverse(channels), wantVar(channels);
    for (unsigned c = 0; c < channels; c++) {
      for (unsigned r = 0; r < rows; r++) wantMean[c] += double(wanted[r * pitch + from + c] = rounded<E>({storedY[r * channels + c] + shortcut[r * channels + c]})[0]) / rows;
      for (unsigned r = 0; r < rows; r++) wantVar[c] += std::pow(wanted[r * pitch + from + c] - wantMean[c], 2) / rows;
      wantInverse[c] = 1 / std::sqrt(wantVar[c] + 1e-5);
    }
    Array<double> partial(sums.gridX * 2 * channels);
    Array<float> mean(channels), inverse(channels), var(channels);
    for (bool asked : {true, false}) {
      Array<E> wide(elements<E>(std::vector<float>(rows * pitch, 5)));
      Fields fields = Fields();
      if (asked) fields(partial);
      else fields.none();
      fields(counters)(wide.address + from * sizeof(E))(x)(mean)(inverse).none()(var)(0.0f)(1e-5f)(0)(rows)(channels)(pitch);
      run(of.statistics, asked ? sums : tiled, ends(fields));
      expect_equal(what + "sum from channel " + std::to_string(from), values(wide.read()), wanted);
    }
    expect_near(what + "mean of the sum", mean.read(), wantMean, sizeof(E) == 4 ? 1e-6 : 4e-6);
    expect_near(what + "inverse of the sum", inverse.read(), wantInverse, 1e-5);
    expect_near(what + "var of the sum", var.read(), wantVar, 1e-5);
  }
}

template <class E> void passes(const BitProduct& product, const Entries& of) {
  if (!product.native()) {
    printf("       %s and what goes with it: not for this device, where they do nothing\n", of.statistics.c_str());
    return;
  }
  for (const Case& g : kCases) {
    const int p = (g.h + 2 * g.pad - g.r) / g.stride + 1, q = (g.w + 2 * g.pad - g.r) / g.stride + 1, taps = g.r * g.r;
    if (of.most && (g.r != 3 || g.c < of.fewest || g.c > of.most)) continue;
    const unsigned rows = unsigned(g.n * p * q), channels = unsigned(g.o), size = rows * channels, words = (channels + 31) / 32, across = (channels + 63) / 64, splits = 2;
    const unsigned tapWords = unsigned((g.c + 31) / 32);
    Random random(channels);
    std::vector<unsigned> bx = random.bits(size_t(g.n * g.h * g.w), unsigned(g.c)), bw = random.bits(size_t(g.o), unsigned(taps * g.c));
    std::vector<float> wc = random.normal(channels), wd = random.uniform(channels, 0.5f, 2), ones(channels, 1);
    const float xc = 0.3f, xd = 0.7f, offset = 0.25f, alpha = 0.8f, centre = 0.3f, k = 2, t0 = 1.5f;
    Array<unsigned> dx(bx), dw(bw), filters(size_t(g.o * taps) * tapWords), counters(std::vector<unsigned>(64, 0));
    Array<int> onesOf(channels * unsigned((g.r + 1) * (g.r + 1)));
    Array<float> dxc(std::vector<float>{xc}), dxd(std::vector<float>{xd}), dwc(wc), dwd(wd), rm(ones), rv(ones);
    Array<float> gamma(random.normal(channels)), beta(random.normal(channels)), pos(random.normal(channels)), neg(random.normal(channels));
    Array<float> mean(channels), inverse(channels), da(std::vector<float>{alpha}), db(std::vector<float>{centre});
    Array<E> x(elements<E>(random.normal(size))), gq(elements<E>(random.normal(size))), y(size);
    Array<double> partial(splits * 4 * channels), ofSet(2 * splits * across);
    run("xnor_conv2d_filters", blocks(2), filters, onesOf, dw, channels, unsigned(g.r), unsigned(g.r), unsigned(g.c));
    Launch tiled = product.convolution(rows, channels, unsigned(taps) * tapWords, 128 * 64 * sizeof(float)), sums = tiled;
    sums.gridX = splits;
    const Launch statisticsTiled = of.most ? BitProduct::imaged(tiled.gridX, g.o, g.h, g.w, g.c, g.stride, g.pad, 1, p, q) : tiled;
    Launch statisticsSums = statisticsTiled;
    statisticsSums.gridX = splits;
    auto ends = [&](Fields& f) -> Fields& {   // struct Product
      return f(dx)(filters)(onesOf)(dxc)(dxd)(dwc)(dwd)(1)(offset)(g.n)(g.h)(g.w)(g.c)(g.o)(g.r)(g.r)(g.stride)(g.pad)(1)(p)(q)(1);
    };
    auto unit = [&](Fields& f) -> Fields& { return f(gamma)(beta)(mean)(inverse)(x)(1)(p)(q)(channels)(1)(1)(pos)(neg)(1); };
    std::string what = of.statistics + " of " + std::to_string(g.c) + " and " + std::to_string(g.o) + " channels: ";

    Fields statistics = Fields()(partial)(counters)(y).none()(mean)(inverse)(rm)(rv)(0.1f)(1e-5f)(1)(rows)(channels)(channels);
    run(of.statistics, statisticsSums, ends(statistics));
    std::vector<float> storedY = values(y.read());
    std::vector<double> wanted(size), wantMean(channels), wantInverse(channels);
    for (int image = 0; image < g.n; image++) for (int pp = 0; pp < p; pp++) for (int qq = 0; qq < q; qq++) for (int o = 0; o < g.o; o++) {
      double sum = offset;
      for (int tap = 0; tap < taps; tap++) {
        int h = pp * g.stride - g.pad + tap / g.r, v = qq * g.stride - g.pad + tap % g.r;
        if (h < 0 || h >= g.h || v < 0 || v >= g.w) continue;
        for (int c = 0; c < g.c; c++) {
          int one = sign_bit(bx, size_t((image * g.h + h) * g.w + v), unsigned(g.c), unsigned(c));
          sum += (double(xc) + double(xd) * one) * (double(wc[size_t(o)]) + double(wd[size_t(o)]) * sign_bit(bw, size_t(o), unsigned(taps * g.c), unsigned(tap * g.c + c)));
        }
      }
      wanted[size_t(((image * p + pp) * q + qq) * g.o + o)] = sum;
    }
    for (unsigned c = 0; c < channels; c++) {
      double var = 0;
      for (unsigned r = 0; r < rows; r++) wantMean[c] += double(storedY[r * channels + c]) / rows;
      for (unsigned r = 0; r < rows; r++) var += std::pow(storedY[r * channels + c] - wantMean[c], 2) / rows;
      wantInverse[c] = 1 / std::sqrt(var + 1e-5);
    }
    expect_near(what + "y", storedY, wanted, sizeof(E) == 4 ? 1e-5 : 4e-3);
    expect_near(what + "mean", mean.read(), wantMean, sizeof(E) == 4 ? 1e-6 : 4e-6);   // tensor cores add up
    expect_near(what + "inverse", inverse.read(), wantInverse, 1e-5);
    widened<E>(what, of, statisticsTiled, statisticsSums, ends, x, storedY, channels, counters);

    struct Results {
      Array<unsigned> bits;
      Array<E> z, gradT, gradY;
      std::deque<Array<float>> all;
      Results(unsigned words, unsigned size, unsigned channels) : bits(words), z(size), gradT(size), gradY(size) {
        for (unsigned i = 0; i < 8; i++) all.emplace_back(size_t(i < 6 ? channels : 1));
      }
    } stored(rows * words, size, channels), computed(rows * words, size, channels);
    for (Results* to : {&stored, &computed}) {
      bool fromY = to == &stored;
      Fields forward = Fields()(to->bits)(to->z)(to->all[6])(to->all[7]);
      if (fromY) forward(y);
      else forward.none();
      unit(forward)(da)(db)(2)(1)(rows)(channels)(p)(q);
      Fields backward = Fields()(to->gradT)(partial)(ofSet)(counters)(to->all[6])(to->all[7]);
      for (size_t i = 0; i < 6; i++) backward(to->all[i]);
      backward(gq).none()(g.slope)(k)(t0)(da)(db)(2)(1)(x)(1)(p)(q)(channels)(1)(1);
      if (fromY) backward(y);
      else backward.none();
      unit(backward)(rows)(channels)(p)(q);
      Fields apply = Fields()(to->gradY)(to->gradT);
      if (fromY) apply(y);
      else apply.none();
      apply(to->all[4])(to->all[5])(gamma)(beta)(mean)(inverse)(size)(channels);
      if (fromY) {
        run(entry<E>("unit_forward"), blocks(2), forward);
        run(entry<E>("unit_backward"), {splits, across, 128, 1, 0}, backward);
        run(entry<E>("unit_backward_apply"), blocks(2), apply);
      } else {
        run(of.forward, tiled, ends(forward));
        run(of.backward, sums, ends(backward));
        run(of.apply, tiled, ends(apply));
      }
    }
    expect_equal(what + "bits", computed.bits.read(), stored.bits.read());
    expect_equal(what + "z", values(computed.z.read()), values(stored.z.read()));
    expect_equal(what + "gradT", values(computed.gradT.read()), values(stored.gradT.read()));
    expect_equal(what + "gradY", values(computed.gradY.read()), values(stored.gradY.read()));
    for (size_t i = 0; i < 6; i++) expect_equal(what + "sums " + std::to_string(i), computed.all[i].read(), stored.all[i].read());
    for (size_t i = 6; i < 8; i++) expect(computed.all[i].read()[0] == stored.all[i].read()[0], what + "gradient " + std::to_string(i) + " of the set");
    expect_equal(what + "counters", counters.read(), std::vector<unsigned>(64, 0));
  }
}
}  // namespace

TEST(unit_product_gives_what_the_passes_over_a_stored_product_give) {
  each_element([](auto zero) {
    using E = decltype(zero);
    passes<E>({80, 90, 64}, {entry<E>("unit_product_statistics"), entry<E>("unit_product_forward"), entry<E>("unit_product_backward"), entry<E>("unit_product_apply")});
    passes<E>({80, 90, 64}, {entry<E>("unit_product_statistics_held"), entry<E>("unit_product_forward"), entry<E>("unit_product_backward"), entry<E>("unit_product_apply"), 33, 64});
    passes<E>({80, 90, 64}, {entry<E>("unit_product_statistics_planes"), entry<E>("unit_product_forward"), entry<E>("unit_product_backward"), entry<E>("unit_product_apply"), 65, 640});
    passes<E>({75, 75, 64}, {entry<E>("unit_product_statistics_xor"), entry<E>("unit_product_forward_xor"), entry<E>("unit_product_backward_xor"),
                             entry<E>("unit_product_apply_xor")});
    passes<E>({100, 1000, 64}, {entry<E>("unit_product_statistics_popc"), entry<E>("unit_product_forward_popc"), entry<E>("unit_product_backward_popc"),
                              entry<E>("unit_product_apply_popc")});
  });
}
