// Heat maps over pictures, as kia.explain.heat_maps draws them (a test compares the two).

// matplotlib's inferno at 0, 1/16 … 1: grows in lightness, so it is read without colour vision too.
export const COLOURS = [
  "#000004", "#0b0724", "#210c4a", "#3d0965", "#57106e", "#71196e", "#8a226a", "#a32c61", "#bc3754",
  "#d24644", "#e45a31", "#f1731d", "#f98e09", "#fcac11", "#f9cb35", "#f2ea69", "#fcffa4",
].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
const OPACITY = 0.8;

/** Red, green, blue and opacity (0 to 255) of a share of an even spread, `most` the largest. */
export function colour(share, most) {
  const part = Math.min(Math.max((share - 1) / (most - 1), 0), 1);
  const place = part * (COLOURS.length - 1);
  const low = Math.min(Math.floor(place), COLOURS.length - 2);
  const mixed = COLOURS[low].map((value, i) => value + (COLOURS[low + 1][i] - value) * (place - low));
  return [...mixed, 255 * OPACITY * Math.sqrt(part)];
}

/** Attention (views × rows × columns, sum 1) → multiples of an even spread. */
export function shares(attention) {
  const cells = attention.flat(2).length;
  return attention.map((view) => view.map((row) => row.map((value) => value * cells)));
}

/** One scale for all sentences of a report. */
export function largest(sentences) {
  return Math.max(2, ...sentences.flatMap((one) => shares(one.attention).flat(2)));
}

/** Paints one view's rows × columns on a canvas, or clears it. */
export function paint(canvas, rows, most) {
  const width = rows ? rows[0].length : 1;
  const height = rows ? rows.length : 1;
  canvas.width = width; // also clears
  canvas.height = height;
  if (!rows) return;
  const pixels = new ImageData(width, height);
  rows.flat().forEach((value, i) => pixels.data.set(colour(value, most), 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** The colours from an even spread to the largest value, as over a black picture. */
export function paintScale(canvas) {
  const pixels = new ImageData(canvas.width, 1);
  for (let x = 0; x < canvas.width; x++) {
    pixels.data.set(colour(1 + x / (canvas.width - 1), 2), 4 * x);
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}
