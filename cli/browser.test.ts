import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openBrowser, removeRedirects } from './browser.ts'

const URL_WITH_TOKEN = 'http://127.0.0.1:4321/#token=a-secret_token'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bsm-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A desktop's opener that writes down what it was given. */
async function opener(): Promise<{ path: string; given: () => Promise<string> }> {
  const [path, given] = [join(folder, 'opener'), join(folder, 'given')]
  await writeFile(path, `#!/bin/sh\nprintf '%s' "$*" > '${given}.part' && mv '${given}.part' '${given}'\n`)
  await chmod(path, 0o755)
  return {
    path,
    given: async () => {
      for (let n = 0; n < 500; n += 1) {
        const text = await readFile(given, 'utf8').catch(() => null)
        if (text !== null) return text
        await sleep(10)
      }
      throw new Error('the opener was not run')
    },
  }
}

const redirects = async (): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name.endsWith('.html'))

describe('opening the page', () => {
  it('shows the token to nobody who lists processes: it lies in a file of this user', async () => {
    const { path, given } = await opener()
    expect(await openBrowser(URL_WITH_TOKEN, folder, { opener: path, livesMs: 60_000 })).toBe(true)
    const file = await given()
    expect(file).not.toContain('token')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readFile(file, 'utf8')).toContain(`url=${URL_WITH_TOKEN}"`)
    removeRedirects(folder)
    expect(await redirects()).toEqual([])
  })

  it('leaves no file behind once its token has expired, though the command ended long ago', async () => {
    const { path } = await opener()
    await openBrowser(URL_WITH_TOKEN, folder, { opener: path, livesMs: 200 })
    for (let n = 0; n < 500 && (await redirects()).length > 0; n += 1) await sleep(20)
    expect(await redirects()).toEqual([])
  })

  it('says when there is no program for it, and leaves no file', async () => {
    expect(await openBrowser(URL_WITH_TOKEN, folder, { opener: join(folder, 'none') })).toBe(false)
    expect(await redirects()).toEqual([])
  })
})
