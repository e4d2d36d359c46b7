// multibox_test.cpp -- kernels/multibox.cu against loops in double and a sort of all negatives
#include "kernel_test.h"

namespace {
struct Batch {
  unsigned images, priors, classes;
  float ratio, more = 0;   // positives that other parts of the batch have
  std::vector<float> output, offsets;
  std::vector<int> labels;

  float divisor() const { return float(std::count_if(labels.begin(), labels.end(), [](int label) { return label > 0; })) + more; }
  unsigned logits(unsigned n, unsigned p) const { return n * priors * (4 + classes) + 4 * priors + p * classes; }
  double log_sum(unsigned n, unsigned p) const {
    double sum = 0, most = output[logits(n, p)];
    for (unsigned k = 1; k < classes; k++) most = std::max(most, double(output[logits(n, p) + k]));
    for (unsigned k = 0; k < classes; k++) sum += std::exp(output[logits(n, p) + k] - most);
    return most + std::log(sum);
  }
};

Batch batch(unsigned images, unsigned priors, unsigned classes, float ratio, unsigned every) {
  Random random(images * priors + classes);
  Batch b{images, priors, classes, ratio, images == 3 ? 17.0f : 0, random.normal(images * priors * (4 + classes), 0, 2), random.normal(images * priors * 4), std::vector<int>(images * priors)};
  for (unsigned i = 0; i < images * priors; i += 1 + unsigned(random.engine()) % every) b.labels[i] = 1 + int(i % (classes - 1));
  return b;
}

struct Found {
  std::vector<float> result, gradient;
};

Found found(const Batch& b, unsigned grid) {
  unsigned total = b.images * b.priors;
  Array<float> output(b.output), offsets(b.offsets), gradient(b.output.size()), result(3);
  Array<int> labels(b.labels);
  Array<double> logSums(total), partial(2 * grid);
  Array<unsigned> keys(total), chosen(2 * b.images);
  Array<float> divisor(std::vector<float>{b.divisor()});
  run("multibox_rank", blocks(grid), logSums, keys, output, labels, total, b.priors, b.classes);
  run("multibox_choose", blocks(b.images), chosen, keys, labels, b.priors, b.classes, b.ratio);
  run("multibox_gradient", blocks(grid), gradient, partial, output, labels, offsets, logSums, keys, chosen, divisor, b.images, b.priors, b.classes);
  run("multibox_finish", blocks(1), result, partial, divisor, grid);
  return {result.read(), gradient.read()};
}

void compare(const Batch& b, unsigned grid) {
  double location = 0, confidence = 0, all = b.divisor();
  std::vector<double> gradient(b.output.size());
  for (unsigned n = 0; n < b.images; n++) {
    std::vector<unsigned> counted, negatives;
    std::vector<float> hard(b.priors);
    for (unsigned p = 0; p < b.priors; p++) {
      (b.labels[n * b.priors + p] ? counted : negatives).push_back(p);
      hard[p] = float(b.log_sum(n, p) - b.output[b.logits(n, p)]);
    }
    size_t most = size_t(std::min(std::floor(double(b.ratio) * double(counted.size())), double(negatives.size())));
    std::stable_sort(negatives.begin(), negatives.end(), [&](unsigned p, unsigned q) { return hard[p] > hard[q]; });
    counted.insert(counted.end(), negatives.begin(), negatives.begin() + long(most));
    for (unsigned p : counted) {
      unsigned z = b.logits(n, p), box = n * b.priors * (4 + b.classes) + 4 * p, label = unsigned(b.labels[n * b.priors + p]);
      double logSum = b.log_sum(n, p);
      confidence += (logSum - b.output[z + label]) / all;
      for (unsigned k = 0; k < b.classes; k++) gradient[z + k] = (std::exp(b.output[z + k] - logSum) - (k == label)) / all;
      for (unsigned i = 0; label && i < 4; i++) {
        double d = double(b.output[box + i]) - b.offsets[4 * (n * b.priors + p) + i];
        location += (std::fabs(d) < 1 ? d * d / 2 : std::fabs(d) - 0.5) / all;
        gradient[box + i] = std::max(-1.0, std::min(1.0, d)) / all;
      }
    }
  }
  Found got = found(b, grid);
  expect_near("result", got.result, std::vector<double>{location + confidence, location, confidence}, 1e-6);
  expect_near("gradient", got.gradient, gradient, 1e-6);
}
}  // namespace

TEST(multibox_gives_the_loss_of_positives_and_of_the_hardest_negatives) {
  for (unsigned every : {2u, 30u}) {
    for (float ratio : {0.0f, 0.5f, 3.0f, 1e30f}) {
      compare(batch(1, 1, 2, ratio, every), 1);
      compare(batch(3, 31, 21, ratio, every), 2);
      compare(batch(2, 257, 33, ratio, every), 3);
    }
  }
  compare(batch(2, 1000, 21, 3, 50), 5);
  compare(batch(300, 2, 3, 1, 2), 2);   // more images than a block has threads
}

TEST(multibox_chooses_the_first_of_equally_hard_priors) {
  for (unsigned levels : {1u, 3u, 500u}) {
    Batch b = batch(2, 700, 2, 1.5f, 6);
    for (unsigned i = 0; i < 1400; i++) {   // logits 0 and v: the cross-entropy is v to the last bit
      b.output[b.logits(i / 700, i % 700)] = 0;
      b.output[b.logits(i / 700, i % 700) + 1] = 48 + float(i * 7919 % levels) * 0x1p-18f;
    }
    compare(b, 3);
  }
}

TEST(multibox_without_positives_has_no_loss) {
  Batch b = batch(2, 40, 5, 3, 2);
  std::fill(b.labels.begin(), b.labels.end(), 0);
  Found got = found(b, 2);
  expect_equal("result", got.result, std::vector<float>(3));
  expect_equal("gradient", got.gradient, std::vector<float>(b.output.size()));
}

TEST(multibox_of_a_nan_or_of_a_label_outside_is_nan) {
  Batch b = batch(2, 300, 5, 1, 100);
  b.labels[0] = 1;   // one positive at least, so one negative
  b.labels[299] = 0;
  b.output[b.logits(0, 299) + 2] = std::numeric_limits<float>::quiet_NaN();
  Found got = found(b, 2);
  expect(std::isnan(got.result[0]) && !std::isnan(got.result[1]) && std::isnan(got.result[2]), "a NaN is not among the negatives");
  for (int label : {5, -1}) {
    b = batch(2, 300, 5, 1, 100);
    b.labels[400] = label;
    expect(std::isnan(found(b, 2).result[0]), "the loss of an unknown label is a number");
  }
}
