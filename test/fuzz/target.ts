import type fc from 'fast-check'

/** A parser and what must hold of it whatever it is given. */
export type Target = {
  id: string
  /** The property, as a sentence that an input could make untrue. */
  promise: string
  /** Inputs of a full run; a slice takes a part of them. */
  inputs: number
  property: () => fc.IProperty<never> | fc.IAsyncProperty<never>
  /** Takes away what the property needed beside its inputs. */
  dispose?: () => void
}

/** fast-check's properties are invariant in their tuple, and a list of targets has many. */
export const asProperty = (property: unknown): fc.IProperty<never> => property as fc.IProperty<never>

export const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
