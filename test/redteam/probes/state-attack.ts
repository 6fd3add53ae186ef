import { lstatSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Scratch } from '../../support/scratch.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'

/** What the probes of an app's places have in common. */

export const PRECIOUS = 'precious\n'

export const state = (
  id: string,
  promise: string,
  defect: Defect,
  run: (stage: Stage) => Promise<string | undefined>,
  more: Partial<Pick<Probe, 'slice'>> = {},
): Probe =>
  probe({
    ...{ id: `state.${id}`, group: 'Agents', attacker: 'host', promise },
    ...{ needs: 'own-app', run, defect, ...more },
  })

/** Spoils the places, and gives what looks whether something there was touched. */
export type Spoil = (places: Scratch) => () => boolean

/** A link in the place of a file, to one that shall not change. */
export const linkedFile =
  (of: (places: Scratch) => string, text = PRECIOUS): Spoil =>
  (places) => {
    const precious = places.path('precious')
    writeFileSync(precious, text, { mode: 0o600 })
    symlinkSync(precious, of(places))
    return () => readFileSync(precious, 'utf8') === text && lstatSync(of(places)).isSymbolicLink()
  }

export const inState = (name: string) => (places: Scratch) => join(places.stateDir, name)
export const inConfig = (name: string) => (places: Scratch) => join(places.configDir, name)
