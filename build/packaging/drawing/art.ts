import {
  Canvas,
  colour,
  disc,
  everywhere,
  polygon,
  rim,
  roundedBox,
  stroke,
  vertical,
  type Point,
} from './canvas.ts'

/** The mark of the house (`renderer/shell/icon.svg`): a box seen from a corner, with a tick. In its 32 × 32 units. */
const BOX: readonly Point[] = [
  [8.5, 12.5],
  [16, 8.5],
  [23.5, 12.5],
  [23.5, 19.5],
  [16, 23.5],
  [8.5, 19.5],
]
const LID: readonly Point[] = [
  [8.5, 12.5],
  [16, 8.5],
  [23.5, 12.5],
  [16, 16.5],
]
const TICK: readonly Point[] = [
  [12.6, 16],
  [15, 18.4],
  [19.4, 13.8],
]

const place = (points: readonly Point[], [cx, cy]: Point, scale: number): Point[] =>
  points.map(([x, y]) => [cx + (x - 16) * scale, cy + (y - 16) * scale])

/** The app's icon on Apple's grid: 1024 units, a plate of 824 with room for its shadow. */
export function icon(pixels: number): Canvas {
  const canvas = new Canvas(pixels, pixels, 1024)
  const centre: Point = [512, 512]
  const plate = roundedBox(centre, 824, 824, 186)
  // Small icons have no room for what large ones show: thicker lines, no shading inside the box.
  const small = pixels <= 32
  if (!small) canvas.fill(roundedBox([512, 528], 824, 824, 186), colour('#001433', 0.34), 44)
  canvas.fill(plate, vertical(colour('#4b96f8'), colour('#0a4aa6'), 100, 924))
  // Light falls from above: a rim at the top edge, a glow behind the box.
  if (!small) canvas.fill(rim(plate, 7), vertical(colour('#ffffff', 0.5), colour('#ffffff', 0), 100, 420))
  if (!small) canvas.fill(disc([512, 470], 210), colour('#8cc3ff', 0.34), 420)
  const at = (points: readonly Point[]): Point[] => place(points, centre, 33)
  const box = at(BOX)
  if (!small) {
    canvas.fill(polygon(place(BOX, [512, 536], 33.5)), colour('#00235c', 0.4), 60)
    canvas.fill(polygon(box), vertical(colour('#1a5dbb'), colour('#0c3f8c'), 264, 760))
    canvas.fill(polygon(at(LID)), vertical(colour('#ffffff', 0.3), colour('#ffffff', 0.1), 264, 528))
  }
  canvas.fill(stroke(box, small ? 82 : 56, true), vertical(colour('#ffffff'), colour('#dce9fb'), 240, 780))
  canvas.fill(stroke(at(TICK), small ? 82 : 62), colour('#ffffff'))
  return canvas
}

/** Width and height of the disk image's window in points; `electron-builder.yml` places its icons in it. */
export const WINDOW = { width: 660, height: 480 } as const
const APP: Point = [180, 190]
const APPLICATIONS: Point = [480, 190]

/** The picture behind the icons of the disk image: light, since Finder writes their names in black. */
export function background(scale: number): Canvas {
  const { width, height } = WINDOW
  const canvas = new Canvas(width * scale, height * scale, width)
  canvas.fill(everywhere, vertical(colour('#fdfdff'), colour('#dfe9f8'), 0, height))
  const faint = (centre: Point, size: number, opacity: number): void => {
    canvas.fill(stroke(place(BOX, centre, size), size * 1.6, true), colour('#0b62cf', opacity))
  }
  faint([40, 52], 10, 0.045)
  faint([632, 400], 15, 0.045)
  // Where the app comes from and where it goes.
  for (const [x, y] of [APP, APPLICATIONS]) {
    const well = roundedBox([x, y + 10], 176, 190, 26)
    canvas.fill(roundedBox([x, y + 14], 176, 190, 26), colour('#0a2a5c', 0.12), 22)
    canvas.fill(well, colour('#ffffff', 0.82))
  }
  const arrow = colour('#1f72dc')
  canvas.fill(
    stroke(
      [
        [299, 190],
        [356, 190],
      ],
      9,
    ),
    arrow,
  )
  canvas.fill(
    stroke(
      [
        [338, 168],
        [361, 190],
        [338, 212],
      ],
      9,
    ),
    arrow,
  )
  canvas.fill(roundedBox([330, 318], 560, 1, 0.5), colour('#0a2a5c', 0.1))
  return canvas
}
