import { describeConformance } from './conformance.ts'

describeConformance('vz')
