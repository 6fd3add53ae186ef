import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { ImageManifest } from '../../core/protocol/image.ts'
import { run } from '../run.ts'
import { shippedPackages } from './notices.ts'
import type { Project } from './project.ts'

const CycloneDx = z.looseObject({
  bomFormat: z.literal('CycloneDX'),
  serialNumber: z.string(),
  metadata: z.looseObject({ timestamp: z.string() }),
  components: z.array(z.looseObject({ name: z.string(), version: z.string() })),
})

/**
 * A CycloneDX bill of materials: the npm packages in the app, as npm itself lists them, Electron, and every Debian
 * package and tool that went into the guest image. The same inputs give the same text.
 */
export async function sbom(project: Project, checkout: string, image: ImageManifest): Promise<string> {
  const text = await run(
    'npm',
    [
      'sbom',
      '--sbom-format=cyclonedx',
      '--sbom-type=application',
      '--omit=dev',
      '--omit=optional',
      '--package-lock-only',
    ],
    { cwd: checkout },
  )
  const bom = CycloneDx.parse(JSON.parse(text.slice(text.indexOf('{'))))
  // To npm everything is for development, since what ships is bundled.
  const listed = new Set(bom.components.map(({ name, version }) => `${name}@${version}`))
  for (const { name, version, licence } of shippedPackages(checkout))
    if (!listed.has(`${name}@${version}`))
      bom.components.push({
        type: 'library',
        name,
        version,
        purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
        licenses: [{ license: { id: licence } }],
      })
  const { version, devDependencies } = project.packageJson
  bom.components.push(
    {
      type: 'framework',
      name: 'electron',
      version: devDependencies.electron,
      purl: `pkg:npm/electron@${devDependencies.electron}`,
      licenses: [{ license: { id: 'MIT' } }],
    },
    ...image.inputs.map(({ name, version, digest }) => ({
      type: name.startsWith('deb:') ? 'library' : 'application',
      name: name.replace(/^deb:/, ''),
      version,
      ...(name.startsWith('deb:')
        ? { purl: `pkg:deb/debian/${name.slice(4)}@${encodeURIComponent(version)}?arch=arm64` }
        : {}),
      hashes: [{ alg: 'SHA-256', content: digest.slice('sha256:'.length) }],
      properties: [{ name: 'bsm:guest-image', value: image.image_digest }],
    })),
  )
  // Neither the hour nor a number drawn by lot says anything about what is inside.
  const { timestamp: _hour, ...metadata } = bom.metadata
  const content = { ...bom, metadata }
  const seed = createHash('sha256')
    .update(JSON.stringify({ ...content, serialNumber: version }))
    .digest('hex')
  const uuid = `${seed.slice(0, 8)}-${seed.slice(8, 12)}-5${seed.slice(13, 16)}-a${seed.slice(17, 20)}-${seed.slice(20, 32)}`
  return `${JSON.stringify({ ...content, serialNumber: `urn:uuid:${uuid}` }, undefined, 2)}\n`
}
