package onebit.data;

/** What one thread needs to decode images and to resize them, used again for each image. */
class Workspace {
  final ImageDecoder decoder = new ImageDecoder();
  final Resize resize = new Resize();
  final Picture whole = new Picture();
  final Picture small = new Picture();
}
