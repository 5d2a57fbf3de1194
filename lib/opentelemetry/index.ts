/**
 * Spans and metrics for OpenTelemetry.
 *
 * @module nestjs-materialized-views/opentelemetry
 */

export { instrument, type Instrumentation, type InstrumentOptions } from './instrument.js';
