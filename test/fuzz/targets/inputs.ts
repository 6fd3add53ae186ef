import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { EXIT_CODE } from '../../../cli/exit-codes.ts'
import { parseFileIn, parseFileOut } from '../../../cli/exec/files.ts'
import { parseParams, wordsToParams } from '../../../cli/exec/params.ts'
import { escapeLine, escapeText, StreamEscaper, terminalSafeJson } from '../../../cli/format/escape.ts'
import { runCli } from '../../../cli/run.ts'
import { UsageError } from '../../../cli/usage-error.ts'
import { BsmError, ImageManifest } from '../../../core/protocol/index.ts'
import { checkBootConfig, type BootOptions } from '../../../helper/qemu/boot-config.ts'
import { Authenticator, GoldenManifest } from '../../../helper/qemu/golden/manifest.ts'
import { IMAGE_MANIFEST } from '../messages.ts'
import { changedBytes, changedText, changedValue, cuts, pieces } from '../mutate.ts'
import { Broken, must } from '../../gates/broken.ts'
import { asProperty, same, type Target } from '../target.ts'

const HOST = { maxCpus: 4, memoryMib: 8192, availableMemoryMib: 4096 }

const image = (() => {
  const bytes = Buffer.alloc(1024)
  bytes.write('MZ', 0, 'latin1')
  bytes.write('ARM\x64', 56, 'latin1')
  return bytes
})()

/** A folder with an image that is taken, spoiled by each input in one way. */
class Place {
  readonly dir = mkdtempSync(join(tmpdir(), 'bsm-fuzz-'))
  readonly path = (name: string) => join(this.dir, name)
  constructor() {
    writeFileSync(this.path('Image'), image)
    for (const [name, size] of [
      ['initrd', 512],
      ['rootfs', 1024],
    ] as const) {
      writeFileSync(this.path(name), '')
      truncateSync(this.path(name), size)
    }
  }
  get options(): BootOptions {
    return {
      ...{ kernel: this.path('Image'), initrd: this.path('initrd'), rootfs: this.path('rootfs') },
      ...{ cmdline: 'console=hvc0', cpus: '1', memoryMib: '256' },
    }
  }
  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }
}

const lowestDescriptor = (): number => {
  const fd = openSync('/dev/null', 'r')
  closeSync(fd)
  return fd
}

/** Checks a boot's configuration; what is not taken is refused in one sentence, and no descriptor stays open. */
function bootConfig(options: BootOptions): ReturnType<typeof checkBootConfig> | BsmError {
  const before = lowestDescriptor()
  try {
    const config = checkBootConfig(options, HOST)
    closeSync(config.kernelFd)
    if (config.initrdFd !== null) closeSync(config.initrdFd)
    return config
  } catch (error) {
    must(error instanceof BsmError, String(error))
    must(/^(BOOT_CONFIG_INVALID|VM_LIFECYCLE_ERROR)$/.test(error.code), error.code)
    must(error.message !== '' && error.nextStep !== undefined, 'no sentence or no next step')
    return error
  } finally {
    must(lowestDescriptor() === before, 'a descriptor stayed open')
  }
}

function inPlace(made: (place: Place) => unknown): Pick<Target, 'property' | 'dispose'> {
  let place: Place | undefined
  return {
    property: () => {
      place?.remove()
      place = new Place()
      return asProperty(made(place))
    },
    dispose: () => place?.remove(),
  }
}

const manifest: Target = {
  id: 'manifest.image',
  promise: 'A changed image manifest is BOOT_CONFIG_INVALID or is taken as it stands; no descriptor leaks.',
  inputs: 15_000,
  ...inPlace((place) =>
    fc.property(changedText([IMAGE_MANIFEST]), (text) => {
      writeFileSync(place.path('manifest.json'), text)
      const config = bootConfig(place.options)
      if (config instanceof BsmError) return
      must(
        config.image !== null && same(config.image, ImageManifest.parse(JSON.parse(text.toString('utf8')))),
        'another manifest than the file has',
      )
      must(config.image.kernel.size <= 1024 && config.image.rootfs.size <= 1024, 'a cut file was taken')
    }),
  ),
}

/** What a kernel's first bytes make it, in a word of what is said of it. */
function nameOfKernel(bytes: Buffer): string {
  const has = (at: number, magic: string) =>
    bytes.subarray(at, at + magic.length).equals(Buffer.from(magic, 'latin1'))
  if (bytes.length === 0) return 'is empty'
  if (has(0, 'MZ') && has(4, 'zimg')) return 'zboot'
  if (has(56, 'ARM\x64')) return 'taken'
  if (has(0x202, 'HdrS')) return 'bzImage'
  if (has(0, '\x1f\x8b')) return 'gzip'
  return has(0, '\x7fELF') ? 'ELF' : 'not an ARM64 Image'
}

const kernel: Target = {
  id: 'kernel.header',
  promise: 'A kernel is taken when its header has the magic of an ARM64 Image, and refused by name else.',
  inputs: 15_000,
  ...inPlace((place) => {
    const kind = (bytes: string, at = 0): Buffer => {
      const header = Buffer.alloc(0x210)
      header.write(bytes, at, 'latin1')
      return header
    }
    const seeds = [
      image,
      kind('HdrS', 0x202),
      kind('\x1f\x8b'),
      kind('\x7fELF'),
      kind('MZ\0\0zimg'),
      Buffer.from('MZ'),
      Buffer.alloc(0),
    ]
    return fc.property(changedBytes(seeds, 3), (bytes) => {
      writeFileSync(place.path('Image'), bytes)
      const config = bootConfig(place.options)
      const said = config instanceof BsmError ? config.message : 'taken'
      must(said.includes(nameOfKernel(bytes)), `${said}: ${bytes.subarray(0, 64).toString('hex')}`)
    })
  }),
}

const oddText = fc.oneof(
  fc.constantFrom('', '0', '1', '4', '5', '-1', '1e3', '0x10', ' 1', '1 ', '99999999999999999999', '256'),
  fc.constantFrom(
    'relative',
    '/dev/null',
    '/',
    '/proc/self/mem',
    '/nowhere/at all',
    '\0',
    '/tmp\0/x',
    '--help',
  ),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
)

const bootOptions: Target = {
  id: 'cli.boot-options',
  promise: 'Any words as options of boot are refused in one sentence or are within the limits of the host.',
  inputs: 30_000,
  ...inPlace((place) =>
    fc.property(
      fc.constantFrom('kernel', 'initrd', 'rootfs', 'cpus', 'memoryMib', 'savedState'),
      oddText,
      fc.boolean(),
      (option, text, isAbsent) => {
        const config = bootConfig({ ...place.options, [option]: isAbsent ? undefined : text } as BootOptions)
        if (config instanceof BsmError) return
        must(config.cpus >= 1 && config.cpus <= HOST.maxCpus, `${config.cpus} CPUs`)
        must(
          config.memoryMib >= 128 && config.memoryMib <= HOST.availableMemoryMib,
          `${config.memoryMib} MiB`,
        )
      },
    ),
  ),
}

/** Commands that end by themselves when there is no app; `up` would start one. */
const WORDS = [
  ...['status', 'exec', 'reset', 'evidence', 'verify', 'clients', 'recover', 'open', 'down', 'audit'],
  ...['--json', '--help', '-h', '--', '--params', '{}', '{', '--deadline-ms', '100', '-1', '--cwd', '/x'],
  ...[
    'sh',
    'echo',
    'id',
    '--file-in',
    'a:b',
    '--env',
    'A=b',
    '=',
    '--reason',
    'verify',
    'add',
    '-V',
    '--nope',
  ],
]

/** Those of `bsm` and, from 64 on, of the helper: without an app no tool gives its own. */
const EXIT_CODES = new Set<number>([...Object.values(EXIT_CODE), 64, 65, 66, 67, 68, 69, 70])

const bsm: Target = {
  id: 'cli.bsm',
  promise: 'Any words to bsm end with one of its exit codes; nothing is thrown and a refusal says why.',
  inputs: 4_000,
  ...inPlace((place) =>
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...WORDS) }, oddText), { maxLength: 6 }),
      async (words) => {
        if (words.some((word) => word === 'up' || word === 'mcp' || word === 'doctor')) return
        let said = ''
        const out = { write: (text: string | Uint8Array) => (said += String(text)), isTTY: false }
        const env = { BSM_STATE_DIR: place.dir, BSM_CONFIG_DIR: place.dir, HOME: place.dir }
        const stdin = Object.assign(new PassThrough().end(), { isTTY: false })
        const code = await runCli(words, { stdin, stdout: out, stderr: out, env }).catch((error: unknown) => {
          throw new Broken(`thrown: ${String(error)}`)
        })
        must(EXIT_CODES.has(code), `exit code ${code}`)
        must(code === 0 || said.trim() !== '', 'it failed and said nothing')
        must(!/\n\s+at .*:\d+:\d+/.test(said), () => `a stack trace: ${said}`)
      },
    ),
  ),
}

const params: Target = {
  id: 'cli.params',
  promise: 'Parameters and file pairs on the command line are taken as written, or are a usage error.',
  inputs: 40_000,
  property: () =>
    asProperty(
      fc.property(changedText([{ command: 'id' }, { a: [1, { b: null }] }]), oddText, (json, word) => {
        const usage = <T>(parse: () => T): T | null => {
          try {
            return parse()
          } catch (error) {
            must(error instanceof UsageError && error.message !== '', String(error))
            return null
          }
        }
        const text = json.toString('utf8')
        const parsed = usage(() => parseParams(text))
        must(parsed === null || same(parsed, JSON.parse(text)), 'other parameters')
        const isIn = usage(() => parseFileIn(word))
        must(isIn === null || `${isIn.host}:${isIn.guest}` === word, 'another pair')
        const isOut = usage(() => parseFileOut(word))
        must(isOut === null || `${isOut.guest}:${isOut.host}` === word, 'another pair')
        const schema = parsed ?? {}
        usage(() => wordsToParams({ name: word, description: '', params_schema: schema }, [word]))
      }),
    ),
}

const GOLDEN: GoldenManifest = {
  schema: 'bsm-golden/1',
  kernel: `sha256:${'01'.repeat(32)}`,
  initrd: null,
  rootfs: `sha256:${'02'.repeat(32)}`,
  cmdline: 'console=hvc0',
  cpus: 1,
  memory_mib: 256,
  backend: 'qemu',
  accelerator: 'tcg',
  machine: 'virt',
  qemu_version: '7.2',
  device_state: `sha256:${'03'.repeat(32)}`,
  ram: `sha256:${'04'.repeat(32)}`,
  nonce: '05'.repeat(32),
  image_digest: null,
  created_at: '2026-01-02T03:04:05.678Z',
}

const golden: Target = {
  id: 'manifest.golden',
  promise: 'A signed manifest opens to itself; with any change of its meaning it does not open.',
  inputs: 30_000,
  ...inPlace((place) => {
    const key = new Authenticator(place.path('manifest.key'))
    const signed = key.sign(GOLDEN)
    must(same(key.open(signed, GoldenManifest), GOLDEN), 'the signed one does not open')
    const text = changedBytes([Buffer.from(signed)], 3)
    const value = changedValue([GOLDEN]).map((changed) => {
      const envelope = JSON.parse(signed) as { hmac: string }
      return Buffer.from(JSON.stringify({ value: changed, hmac: envelope.hmac }))
    })
    return fc.property(fc.oneof(text, value), (bytes) => {
      let opened: unknown
      try {
        opened = key.open(bytes.toString('utf8'), GoldenManifest)
      } catch (error) {
        must(error instanceof Error, 'no error')
        return
      }
      must(same(opened, GOLDEN), 'a changed manifest was opened')
    })
  }),
}

const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/u

const terminal: Target = {
  id: 'terminal.escape',
  promise: 'No byte of a tool is obeyed by a terminal, and a stream escapes the same wherever it is cut.',
  inputs: 50_000,
  property: () =>
    asProperty(
      fc.property(
        changedBytes([
          Buffer.from('\u001b]0;title\u0007plain\r\nnext\r', 'utf8'),
          Buffer.from('\u001b[2J\u009b31m\u202egnirts\u2066', 'utf8'),
          Buffer.from([0xff, 0xc3, 0x28, 0xe2, 0x80, 0xae, 0x0d, 0x0a, 0x9b]),
        ]),
        cuts,
        (bytes, at) => {
          const whole = new StreamEscaper()
          const expected = whole.push(bytes) + whole.end()
          const cut = new StreamEscaper()
          const got = pieces(bytes, at).map((piece) => cut.push(piece))
          must([...got, cut.end()].join('') === expected, () => `cut: ${bytes.toString('hex')}`)
          const text = bytes.toString('utf8')
          for (const shown of [
            expected,
            escapeText(text),
            escapeLine(text),
            terminalSafeJson({ [text]: text }),
          ])
            must(!OBEYED.test(shown), () => `obeyed: ${bytes.toString('hex')}`)
          must(same(JSON.parse(terminalSafeJson(text)), text), 'another text')
        },
      ),
    ),
}

export const INPUTS: Target[] = [manifest, golden, kernel, bootOptions, bsm, params, terminal]
