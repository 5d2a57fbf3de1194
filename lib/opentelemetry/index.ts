export { instrument, type Instrumentation, type InstrumentOptions } from './instrument.js';
