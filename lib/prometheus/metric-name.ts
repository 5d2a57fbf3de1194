const SUFFIXES: Record<string, string> = { s: '_seconds', By: '_bytes' };

/** The name that OpenTelemetry's exporters for Prometheus give a metric. */
export function metricName(
  { name, unit }: { name: string; unit: string },
  { prefix = '', isCounter = false }: { prefix?: string; isCounter?: boolean } = {},
): string {
  const total = isCounter ? '_total' : '';
  return `${prefix}${name.replaceAll('.', '_')}${SUFFIXES[unit] ?? ''}${total}`;
}
