package onebit.ops;

import java.util.function.Supplier;
import onebit.tensor.BinarySet;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** A device's bit ops on tensors of the host: arguments are copied there, results back; opened anew before its memory fills with them. */
final class DeviceBitOps implements BitOps {
  private static final int MOST_CALLS = 20;

  private final Supplier<Backend> opener;
  private Backend device;
  private int calls;

  DeviceBitOps(Supplier<Backend> opener) {
    this.opener = opener;
    device = opener.get();
  }

  String name() {
    return device.name();
  }

  private void begin() {
    if (++calls % MOST_CALLS != 0) return;
    device.close();
    device = opener.get();
  }

  static Tensor sent(Backend device, Tensor host) {
    return sent(device, host, ElementType.FLOAT32);
  }

  static Tensor sent(Backend device, Tensor host, ElementType type) {
    Tensor t = device.create(host.shape(), type);
    if (type == ElementType.UINT8) device.write(t, host.bytes());
    else if (host.size() > 0) device.write(t, host.floats());
    return t;
  }

  static void fetch(Backend device, Tensor host, Tensor from) {
    System.arraycopy(device.read(from), 0, host.floats(), 0, host.size());
  }

  private Tensor sent(Tensor host) {
    return sent(device, host);
  }

  private Tensor activations(Tensor host) {
    return sent(device, host, device.activations());
  }

  private BinarySet sent(BinarySet set) {
    return new BinarySet(sent(set.centre()), sent(set.distance()));
  }

  /** The bits as the device's own pack makes them from +1 and -1. */
  private BitTensor sent(BitTensor host) {
    float[] signs = new float[host.rows() * host.bits()];
    for (int row = 0; row < host.rows(); row++) {
      for (int k = 0; k < host.bits(); k++) {
        signs[row * host.bits() + k] = (host.longs()[row * host.words() + k / 64] >>> k % 64 & 1) != 0 ? 1 : -1;
      }
    }
    BitTensor bits = device.createBits(host.rows(), host.bits());
    device.bits().pack(bits, sent(Tensor.of(Shape.matrix(host.rows(), host.bits()), signs)), 0);
    return bits;
  }

  @Override
  public void pack(BitTensor bits, Tensor x, float threshold) {
    begin();
    BitTensor to = sent(bits);
    device.bits().pack(to, activations(x), threshold);
    System.arraycopy(device.read(to), 0, bits.longs(), 0, bits.rows() * bits.words());
  }

  @Override
  public void unpack(Tensor x, BitTensor bits, BinarySet set) {
    begin();
    Tensor to = activations(x);
    device.bits().unpack(to, sent(bits), sent(set));
    fetch(device, x, to);
  }

  @Override
  public void changedBits(Tensor counts, int at, BitTensor before, BitTensor now) {
    begin();
    Tensor to = sent(counts);
    BitTensor old = sent(before);
    device.bits().changedBits(to, at, old, sent(now));
    fetch(device, counts, to);
    System.arraycopy(device.read(old), 0, before.longs(), 0, before.rows() * before.words());
  }

  @Override
  public void xnorGemm(Tensor y, BitTensor a, BitTensor b) {
    begin();
    Tensor to = sent(y);
    device.bits().xnorGemm(to, sent(a), sent(b));
    fetch(device, y, to);
  }

  @Override
  public void xnorConv2d(Tensor y, BitTensor x, BitTensor w, BinarySet xSet, BinarySet wSet, ConvGeometry g, Padding padding, float offset) {
    begin();
    Tensor to = activations(y);
    device.bits().xnorConv2d(to, sent(x), sent(w), sent(xSet), sent(wSet), g, padding, offset);
    fetch(device, y, to);
  }

  @Override
  public void xnorConv2dGradW(Tensor gradW, Tensor gradY, BitTensor x, BinarySet xSet, ConvGeometry g, float border, Tensor values) {
    begin();
    Tensor to = sent(gradW), room = device.activations() == ElementType.BFLOAT16 ? null : sent(values);
    device.bits().xnorConv2dGradW(to, activations(gradY), sent(x), sent(xSet), g, border, room);
    fetch(device, gradW, to);
  }

  @Override
  public void xnorConv2dGradX(Tensor gradX, Tensor gradY, BitTensor w, BinarySet wSet, Tensor values, ConvGeometry g) {
    begin();
    Tensor to = activations(gradX);
    device.bits().xnorConv2dGradX(to, activations(gradY), sent(w), sent(wSet), activations(values), g);
    fetch(device, gradX, to);
  }

  @Override
  public void xnorConv2dGradFloat8(Tensor gradX, Tensor gradW, Tensor gradY, Tensor codes, BitTensor x, BinarySet xSet, BitTensor w, BinarySet wSet, ConvGeometry g,
      float border) {
    begin();
    Tensor images = activations(gradX), filters = sent(gradW), room = device.create(codes.shape(), codes.type());
    device.bits().xnorConv2dGradFloat8(images, filters, activations(gradY), room, sent(x), sent(xSet), sent(w), sent(wSet), g, border);
    fetch(device, gradX, images);
    fetch(device, gradW, filters);
  }
}
