// Small pictures of files that are not sent yet. Our pages show no blob: addresses, so that they are data.

const SIDE_PX = 112;

/** A data: URL of a picture, as large as a chip needs it; null when it is none that this browser knows. */
export async function thumbnail(file) {
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return null;
  const side = Math.min(picture.width, picture.height);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE_PX;
  const [left, top] = [(picture.width - side) / 2, (picture.height - side) / 2];
  canvas.getContext("2d").drawImage(picture, left, top, side, side, 0, 0, SIDE_PX, SIDE_PX);
  picture.close();
  return canvas.toDataURL("image/png");
}
