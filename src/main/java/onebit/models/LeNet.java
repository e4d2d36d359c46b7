package onebit.models;

import java.util.List;
import onebit.binarize.Method;
import onebit.layers.Activate;
import onebit.layers.BatchNorm;
import onebit.layers.BinaryConv2d;
import onebit.layers.Conv2d;
import onebit.layers.Flatten;
import onebit.layers.Init;
import onebit.layers.Linear;
import onebit.layers.Pool;
import onebit.layers.Sequential;
import onebit.ops.PointOps.Activation;
import onebit.tensor.Shape;

/**
 * BMXNet's binary LeNet for 28x28 images: real 5x5, binary 5x5, binary 1000, real classifier.
 *
 * <p>MXNet has no such state dictionary; the names are those of a PyTorch port: conv1, bn1, conv2, bn2, fc1, bn3, fc2.
 *
 * <pre>
 * Source  Bethge et al. 2018 (arXiv 1812.01965); code BMXNet-v2-examples mnist/mnist-lenet.py
 * </pre>
 */
public record LeNet() implements Network {
  private static final Init INIT = Init.xavier(2.24);

  @Override
  public Sequential layers(Method method, Shape input, int classes) {
    BatchNorm.Rule any = Variant.of(method, Variant.Family.OTHER).norm();
    BatchNorm.Rule norm = any == BatchNorm.Rule.MXNET ? BatchNorm.Rule.MXNET_CPU : any;   // the script takes a GPU only if told --cuda
    return new Sequential(List.of(
        new Conv2d("conv1", 64, 5, 1, 0, 1, true, INIT).asFirst(),
        new Activate(Activation.TANH),
        Pool.max(2, 2, 0),
        new BatchNorm("bn1", norm),
        new BinaryConv2d("conv2", method, 64, 5, 1, 0, 1, INIT),
        new BatchNorm("bn2", norm),
        Pool.max(2, 2, 0),
        new Flatten(),
        new BinaryConv2d("fc1", method, 1000, 1, 1, 0, 1, INIT),
        new BatchNorm("bn3", norm),
        new Activate(Activation.TANH),
        new Linear("fc2", classes, INIT, true)));
  }
}
