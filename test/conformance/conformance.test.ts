import { describeConformance } from './conformance.ts'

describeConformance('qemu')
