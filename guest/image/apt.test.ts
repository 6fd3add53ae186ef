import { describe, expect, it } from 'vitest'
import { parseUris } from './apt.ts'

describe("apt's list of files", () => {
  it('gives names, versions and file names, an epoch and a plus sign too', () => {
    const text =
      "'file:/pool/b/busybox-static_1.35.0-4%2bdeb12u1_arm64.deb' busybox-static_1%3a1.35.0-4+deb12u1_arm64.deb 822236 MD5Sum:49\n" +
      "'file:/pool/l/linux-image-6.12.107+deb13-cloud-arm64_6.12.107-1_arm64.deb' linux-image-6.12.107+deb13-cloud-arm64_6.12.107-1_arm64.deb 28 SHA256:ab\n" +
      'WARNING: something else\n'
    expect(parseUris(text)).toEqual([
      {
        name: 'busybox-static',
        version: '1:1.35.0-4+deb12u1',
        fileName: 'busybox-static_1%3a1.35.0-4+deb12u1_arm64.deb',
      },
      {
        name: 'linux-image-6.12.107+deb13-cloud-arm64',
        version: '6.12.107-1',
        fileName: 'linux-image-6.12.107+deb13-cloud-arm64_6.12.107-1_arm64.deb',
      },
    ])
  })
})
