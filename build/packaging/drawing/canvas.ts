/** Straight RGBA, 0 … 1. */
export type Colour = readonly [r: number, g: number, b: number, a: number]
export type Point = readonly [x: number, y: number]
export interface Shape {
  /** Signed distance from a point to the edge, in the drawing's own units; negative is inside. */
  readonly distance: (x: number, y: number) => number
  /** What it fills, left, top, right, bottom: all that has to be looked at. */
  readonly bounds: readonly [number, number, number, number]
}
export type Paint = Colour | ((x: number, y: number) => Colour)

/** `#rrggbb`, and an opacity. */
export function colour(hex: string, opacity = 1): Colour {
  const byte = (at: number): number => parseInt(hex.slice(at, at + 2), 16) / 255
  return [byte(1), byte(3), byte(5), opacity]
}

/** From `top` at `y0` to `bottom` at `y1`. */
export const vertical =
  (top: Colour, bottom: Colour, y0: number, y1: number): Paint =>
  (_x, y) => {
    const t = Math.min(1, Math.max(0, (y - y0) / (y1 - y0)))
    const mix = (i: 0 | 1 | 2 | 3): number => top[i] + (bottom[i] - top[i]) * t
    return [mix(0), mix(1), mix(2), mix(3)]
  }

export const everywhere: Shape = {
  distance: () => -Infinity,
  bounds: [-Infinity, -Infinity, Infinity, Infinity],
}

export const roundedBox = ([cx, cy]: Point, width: number, height: number, radius: number): Shape => ({
  distance: (x, y) => {
    const dx = Math.abs(x - cx) - width / 2 + radius
    const dy = Math.abs(y - cy) - height / 2 + radius
    return length(Math.max(dx, 0), Math.max(dy, 0)) + Math.min(Math.max(dx, dy), 0) - radius
  },
  bounds: [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2],
})

export const disc = ([cx, cy]: Point, radius: number): Shape => ({
  distance: (x, y) => length(x - cx, y - cy) - radius,
  bounds: [cx - radius, cy - radius, cx + radius, cy + radius],
})

/** The band of `width` just inside the edge of a shape. */
export const rim = (shape: Shape, width: number): Shape => ({
  distance: (x, y) => {
    const d = shape.distance(x, y)
    return Math.max(d, -d - width)
  },
  bounds: shape.bounds,
})

/** A line through points with round ends and joins. */
export function stroke(points: readonly Point[], width: number, closed = false): Shape {
  const lines = edges(points, closed)
  return {
    distance: (x, y) => Math.sqrt(nearest(lines, x, y)) - width / 2,
    bounds: extent(points, width / 2),
  }
}

/** The inside of a polygon. */
export function polygon(points: readonly Point[]): Shape {
  const lines = edges(points, true)
  return {
    distance: (x, y) => {
      let inside = false
      for (const [ax, ay, bx, by] of lines)
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside
      const distance = Math.sqrt(nearest(lines, x, y))
      return inside ? -distance : distance
    },
    bounds: extent(points, 0),
  }
}

type Edge = readonly [ax: number, ay: number, bx: number, by: number]

function edges(points: readonly Point[], closed: boolean): Edge[] {
  const found: Edge[] = []
  points.forEach(([x, y], i) => {
    const next = points[i + 1] ?? (closed ? points[0] : undefined)
    if (next !== undefined) found.push([x, y, next[0], next[1]])
  })
  return found
}

function extent(points: readonly Point[], margin: number): Shape['bounds'] {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)]
  return [
    Math.min(...xs) - margin,
    Math.min(...ys) - margin,
    Math.max(...xs) + margin,
    Math.max(...ys) + margin,
  ]
}

/** Squared distance to the nearest of the lines. */
function nearest(lines: readonly Edge[], x: number, y: number): number {
  let least = Infinity
  for (const [ax, ay, bx, by] of lines) {
    const dx = bx - ax
    const dy = by - ay
    const t = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)))
    const ex = x - ax - dx * t
    const ey = y - ay - dy * t
    least = Math.min(least, ex * ex + ey * ey)
  }
  return least
}

/** `Math.hypot` guards against overflow that no drawing meets, at ten times the price. */
const length = (x: number, y: number): number => Math.sqrt(x * x + y * y)

/** A drawing of `units` width, made of pixels: each shape is sampled once per pixel, its edge blended over one. */
export class Canvas {
  readonly width: number
  readonly height: number
  /** Pixels per unit. */
  readonly #scale: number
  readonly #pixels: Float32Array

  constructor(width: number, height: number, units = width) {
    this.width = width
    this.height = height
    this.#scale = width / units
    this.#pixels = new Float32Array(width * height * 4)
  }

  /** `softness`, in units, widens the edge: a shadow or a glow. */
  fill(shape: Shape, paint: Paint, softness = 0): void {
    const blur = Math.max(1, softness * this.#scale)
    const margin = blur / this.#scale
    const [left, top, right, bottom] = shape.bounds
    const pixel = (units: number, most: number): number =>
      Math.min(most, Math.max(0, Math.round(units * this.#scale)))
    const [endX, endY] = [pixel(right + margin, this.width), pixel(bottom + margin, this.height)]
    for (let py = pixel(top - margin, this.height); py < endY; py += 1)
      for (let px = pixel(left - margin, this.width); px < endX; px += 1) {
        const x = (px + 0.5) / this.#scale
        const y = (py + 0.5) / this.#scale
        const edge = 0.5 - (shape.distance(x, y) * this.#scale) / blur
        if (edge <= 0) continue
        const t = Math.min(1, edge)
        const cover = softness > 0 ? t * t * (3 - 2 * t) : t
        this.#blend(px, py, typeof paint === 'function' ? paint(x, y) : paint, cover)
      }
  }

  #blend(px: number, py: number, [r, g, b, a]: Colour, cover: number): void {
    const at = (py * this.width + px) * 4
    const over = a * cover
    const pixels = this.#pixels
    const under = (pixels[at + 3] ?? 0) * (1 - over)
    const alpha = over + under
    if (alpha <= 0) return
    pixels[at] = (r * over + (pixels[at] ?? 0) * under) / alpha
    pixels[at + 1] = (g * over + (pixels[at + 1] ?? 0) * under) / alpha
    pixels[at + 2] = (b * over + (pixels[at + 2] ?? 0) * under) / alpha
    pixels[at + 3] = alpha
  }

  /** Eight bits a channel, straight alpha, row by row. */
  rgba(): Uint8Array {
    return Uint8Array.from(this.#pixels, (value) => Math.round(value * 255))
  }
}
