// sign_weights_test.cpp -- kernels/sign_weights.cu against the kernels for one layer, which sign_test.cpp and sine_sign_test.cpp check
#include <deque>
#include "kernel_test.h"

/** kernels/sign_weights.cu, SignEntry. */
struct SignEntry {
  uint64_t w, gradient, scale, gradScale, words, values, squares, sum;
  unsigned size, filters, each, rounded;
};

/** Signs of many layers with one rule for all: what each gets alone. meanFactor 0: a given scale, one for the layer or learned per filter. */
static void signs(const char* rule, Slope f, float meanFactor, bool throughMean, bool learned, int real, float penalty) {
  std::deque<Array<float>> floats;
  std::deque<Array<unsigned>> bits;
  std::deque<Array<Bf16>> halves;
  std::deque<Array<double>> doubles;
  std::vector<SignEntry> entries, backward;
  std::vector<std::array<unsigned, 2>> pairs;
  std::vector<std::function<void()>> checks;
  for (unsigned size : {1u, 31u, 32u, 33u, 576u}) {
    unsigned filters = 2 + size % 3, words = (size + 31) / 32, layer = unsigned(entries.size()), each = learned || meanFactor != 0;
    bool rounded = layer % 2;
    Random random(size);
    std::vector<float> w = random.normal(filters * size, 0.1f, 0.5f), g = random.normal(filters * size), scale = random.uniform(each ? filters : 1, 0.5f, 2);
    if (rounded) g = kernel_test::rounded<Bf16>(g);
    Array<float>&deviceW = floats.emplace_back(w), &gradient = floats.emplace_back(g), &gradScale = floats.emplace_back(filters), &sum = floats.emplace_back(1);
    Array<float>& deviceScale = meanFactor != 0 ? floats.emplace_back(filters) : floats.emplace_back(scale);
    Array<float>& whole = floats.emplace_back(rounded ? 0 : w.size());
    Array<Bf16>& half = halves.emplace_back(rounded ? w.size() : 0);
    Array<unsigned>& packed = bits.emplace_back(filters * words);
    Array<double>& squares = doubles.emplace_back(filters);
    entries.push_back({deviceW.address, 0, deviceScale.address, 0, packed.address, rounded ? half.address : whole.address, 0, 0, size, filters, each, rounded});
    backward.push_back({deviceW.address, gradient.address, deviceScale.address, learned ? gradScale.address : 0, 0, gradient.address,
                        penalty != 0 ? squares.address : 0, penalty != 0 ? sum.address : 0, size, filters, each, rounded});
    if (rounded) backward.back().values = halves.emplace_back(elements<Bf16>(g)).address;
    for (unsigned o = 0; o < filters; o++) pairs.push_back({layer, o});
    checks.push_back([&, w, g, scale, size, filters, words, each, rounded] {
      std::string of = std::string(" of ") + std::to_string(size) + ", " + rule;
      Array<float> alone(w), gradE(g), wanted(w.size()), level(w.size());
      std::vector<float> scales = scale;
      if (meanFactor != 0) {
        Array<float> means(filters);
        run("mean_absolute", blocks(filters), means, alone, meanFactor, size);
        scales = means.read();
        expect_equal("scale" + of, deviceScale.read(), scales);
      }
      Array<float> given(scales);
      run("level", blocks(1), level, alone, f.kind, f.a, f.b, unsigned(w.size()));
      std::vector<float> levels = level.read();
      std::vector<unsigned> wantedBits(filters * words);
      for (unsigned i = 0; i < w.size(); i++) {
        float s = scales[each ? i / size : 0];
        if (levels[i] >= 0) wantedBits[i / size * words + i % size / 32] |= 1u << i % size % 32;
        levels[i] = real ? s * levels[i] : levels[i] >= 0 ? s : -s;
      }
      expect_equal("bits" + of, packed.read(), wantedBits);
      if (rounded) expect_equal("values" + of, values(half.read()), kernel_test::rounded<Bf16>(levels));
      else expect_equal("values" + of, whole.read(), levels);
      run("sign_weights_backward", blocks(filters), wanted, gradE, alone, given, each, f.kind, f.a, f.b, int(throughMean), size);
      if (learned) {
        Array<float> wantedScale(filters);
        run("scale_backward", blocks(filters), wantedScale, gradE, alone, f.kind, f.a, f.b, real, size);
        expect_equal("gradScale" + of, gradScale.read(), wantedScale.read());
      }
      if (penalty != 0) {
        Array<double> ownSquares(filters);
        Array<float> ownSum(std::vector<float>{0});
        run("squared_level", blocks(filters), wanted, ownSquares, alone, f.kind, f.a, f.b, penalty, size);
        run("squared_level_finish", blocks(1), ownSum, ownSquares, filters, penalty, unsigned(w.size()));
        expect_equal("penalty" + of, sum.read(), ownSum.read());
      }
      expect_equal("gradient" + of, gradient.read(), wanted.read());
    });
  }
  Array<SignEntry> table(entries), backwardTable(backward);
  Array<std::array<unsigned, 2>> blockTable(pairs);
  run("sign_weights_all", blocks(unsigned(pairs.size())), table, blockTable, f.kind, f.a, f.b, meanFactor, real);
  run("sign_weights_all_backward", blocks(unsigned(pairs.size())), backwardTable, blockTable, f.kind, f.a, f.b, int(throughMean), real, penalty);
  if (penalty != 0) run("squared_level_all", blocks(unsigned(entries.size())), backwardTable, penalty);
  for (auto& check : checks) check();
}

TEST(signs_of_many_layers_in_one_launch_get_what_each_gets_alone) {
  signs("one scale", {1, 0.8f, 0}, 0, false, false, 0, 0);
  signs("mean |w|", {1, 0.8f, 0}, 1, true, false, 0, 0);
  signs("mean |w| without gradient", {6, 0.8f, 0}, 1.5f, false, false, 0, 0);
  signs("learned", {4, 20, 0}, 0, false, true, 0, 0);
  signs("learned, with a penalty", {4, 20, 0}, 0, false, true, 0, 0.3f);
  signs("real, with a penalty", {4, 20, 0}, 0, false, true, 1, 0.3f);
}
