import { describe, expect, it } from 'vitest'
import { encodeClose, encodeData, encodeOpen, RECORD, RecordError, RecordParser } from './records.ts'

const stream = Buffer.concat([
  encodeOpen(7),
  encodeData(7, Buffer.from('hello')),
  encodeClose(7),
  encodeOpen(8),
])
const summary = (records: { connId: number; kind: number; data: Buffer }[]) =>
  records.map(({ connId, kind, data }) => [connId, kind, data.toString()])
const whole = [
  [7, RECORD.open, ''],
  [7, RECORD.data, 'hello'],
  [7, RECORD.close, ''],
  [8, RECORD.open, ''],
]

describe('bridge records', () => {
  it('are read the same wherever the stream is cut', () => {
    for (let cut = 0; cut <= stream.length; cut += 1) {
      const parser = new RecordParser()
      const records = [...parser.push(stream.subarray(0, cut)), ...parser.push(stream.subarray(cut))]
      expect(summary(records)).toEqual(whole)
    }
  })

  it('are read byte by byte', () => {
    const parser = new RecordParser()
    const records = [...stream].flatMap((byte) => parser.push(Buffer.from([byte])))
    expect(summary(records)).toEqual(whole)
  })

  it('carry at most 64 KiB each', () => {
    const records = new RecordParser().push(encodeData(1, Buffer.alloc(150_000, 1)))
    expect(records.map(({ data }) => data.length)).toEqual([65_536, 65_536, 18_928])
  })

  it.each([
    ['of an unknown kind', [0, 0, 0, 1, 9, 0, 0, 0, 0]],
    ['of kind 0', [0, 0, 0, 1, 0, 0, 0, 0, 0]],
    ['OPEN with a length', [0, 0, 0, 1, 1, 0, 0, 0, 1]],
    ['DATA over 64 KiB', [0, 0, 0, 1, 2, 0, 1, 0, 1]],
    ['DATA of 4 GiB', [0, 0, 0, 1, 2, 255, 255, 255, 255]],
  ])('%s are refused from their header alone', (_, header) => {
    expect(() => new RecordParser().push(Buffer.from(header))).toThrow(RecordError)
  })
})
