// softmax_cross_entropy_test.cpp -- kernels/softmax_cross_entropy.cu against the formulas
#include "kernel_test.h"

TEST(softmax_cross_entropy_gives_loss_gradient_and_hits) {
  for (unsigned classes : {2u, 10u, 129u, 1000u}) for (float smoothing : {0.0f, 0.1f}) {
    unsigned n = 7;
    std::vector<float> z = Random(classes).normal(n * classes, 50, 4);
    std::vector<int> labels(n);
    std::vector<double> grad(n * classes);
    double loss = 0, top1 = 0, top5 = 0;
    for (unsigned i = 0; i < n; i++) {
      const float* row = &z[i * classes];
      unsigned label = i * 31 % classes, above = 0;
      labels[i] = int(label);
      double most = *std::max_element(row, row + classes), sum = 0, mean = 0;
      for (unsigned k = 0; k < classes; k++) sum += std::exp(row[k] - most), mean += row[k] / double(classes), above += row[k] > row[label];
      double logSum = most + std::log(sum);
      loss += ((1 - double(smoothing)) * (logSum - row[label]) + double(smoothing) * (logSum - mean)) / n;
      top1 += above < 1;
      top5 += above < 5;
      for (unsigned k = 0; k < classes; k++) grad[i * classes + k] = (std::exp(row[k] - logSum) - (k == label ? 1 - double(smoothing) : 0) - double(smoothing) / classes) / n;
    }
    Array<float> logits(z), gradLogits(z.size()), result(3);
    Array<int> deviceLabels(labels);
    Array<double> rows(3 * n);
    Array<unsigned> counter(std::vector<unsigned>(1));
    run("softmax_cross_entropy", blocks(n, 128), result, rows, counter, gradLogits, logits, deviceLabels, n, classes, smoothing);
    std::vector<float> found = result.read();
    expect(std::fabs(found[0] - loss) <= 1e-5 * std::max(1.0, std::fabs(loss)), "loss is " + std::to_string(found[0]) + ", wanted " + std::to_string(loss));
    expect(found[1] == float(top1) && found[2] == float(top5), "hits are off");
    expect_near("gradLogits", gradLogits.read(), grad, 1e-5);
  }
}

TEST(distilled_cross_entropy_gives_loss_and_gradient_of_both_targets) {
  for (unsigned classes : {2u, 129u, 1000u}) for (float t : {1.0f, 4.0f}) for (float hard : {0.0f, 0.25f}) {
    unsigned n = 5;
    float smoothing = 0.1f;
    std::vector<float> z = Random(classes).normal(n * classes, 0, 3), taught = Random(classes + 1).normal(n * classes, 10, 3);
    std::vector<int> labels(n);
    std::vector<double> grad(n * classes);
    double loss = 0, top1 = 0, soft = 1 - double(hard);
    auto logSum = [&](const float* row, double at) {
      double sum = 0;
      for (unsigned k = 0; k < classes; k++) sum += std::exp(row[k] / at);
      return std::log(sum);
    };
    for (unsigned i = 0; i < n; i++) {
      const float *row = &z[i * classes], *other = &taught[i * classes];
      unsigned label = i * 31 % classes;
      labels[i] = int(label);
      top1 += label == unsigned(std::max_element(row, row + classes) - row);
      double own = logSum(row, 1), warm = logSum(row, t), wanted = logSum(other, t);
      for (unsigned k = 0; k < classes; k++) {
        double p = std::exp(other[k] / double(t) - wanted), target = (k == label ? 1 - double(smoothing) : 0) + double(smoothing) / classes;
        loss += (hard * target * (own - row[k]) + soft * t * t * p * (warm - row[k] / double(t))) / n;
        grad[i * classes + k] = (hard * (std::exp(row[k] - own) - target) + soft * t * (std::exp(row[k] / double(t) - warm) - p)) / n;
      }
    }
    Array<float> logits(z), teacher(taught), gradLogits(z.size()), result(3);
    Array<int> deviceLabels(labels);
    Array<double> rows(3 * n);
    Array<unsigned> counter(std::vector<unsigned>(1));
    run("distilled_cross_entropy", blocks(n, 128), result, rows, counter, gradLogits, logits, teacher, deviceLabels, n, classes, t, hard, smoothing);
    expect(std::fabs(result.read()[0] - loss) <= 1e-5 * std::max(1.0, std::fabs(loss)), "loss is " + std::to_string(result.read()[0]) + ", wanted " + std::to_string(loss));
    expect(result.read()[1] == float(top1), "hits are off");
    expect_near("gradLogits", gradLogits.read(), grad, 1e-5);
  }
}

TEST(softmax_cross_entropy_of_a_label_outside_is_nan) {
  Array<float> logits(std::vector<float>(10, 1)), gradLogits(10), result(3);
  Array<int> labels(std::vector<int>{10});
  Array<double> rows(3);
  Array<unsigned> counter(std::vector<unsigned>(1));
  run("softmax_cross_entropy", blocks(1, 128), result, rows, counter, gradLogits, logits, labels, 1u, 10u, 0.0f);
  expect(std::isnan(result.read()[0]), "the loss of an unknown label is a number");
  run("distilled_cross_entropy", blocks(1, 128), result, rows, counter, gradLogits, logits, logits, labels, 1u, 10u, 2.0f, 0.5f, 0.0f);
  expect(std::isnan(result.read()[0]), "the loss of an unknown label beside a teacher is a number");
}
