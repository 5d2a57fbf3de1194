import type { Meter, Tracer } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';

/** OpenTelemetry that keeps spans and metrics in memory. */
export class Telemetry {
  readonly spans = new InMemorySpanExporter();
  readonly meter: Meter;
  readonly tracer: Tracer;
  private readonly exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  private readonly reader = new PeriodicExportingMetricReader({
    exporter: this.exporter,
    exportIntervalMillis: 3_600_000,
  });
  private readonly meters = new MeterProvider({ readers: [this.reader] });

  constructor() {
    this.meter = this.meters.getMeter('test');
    this.tracer = new BasicTracerProvider({
      spanProcessors: [new SimpleSpanProcessor(this.spans)],
    }).getTracer('test');
  }

  /** Collects the metrics now. Returns a function from a metric's name to its data points. */
  async measure(): Promise<(name: string) => unknown[]> {
    await this.reader.forceFlush();
    const measured = this.exporter.getMetrics().at(-1)?.scopeMetrics[0]?.metrics ?? [];
    return (name) => measured.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? [];
  }

  async end(): Promise<void> {
    await this.meters.shutdown();
  }
}
