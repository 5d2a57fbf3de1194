/** The part of an application's package.json that is read. */
export interface NestManifest {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

/** What a Nest application needs, with a range for each major version of Nest. */
const NEEDED: { name: string; ofNest: Record<number, string> }[] = [
  { name: 'nestjs-materialized-views', ofNest: { 11: '', 12: '' } },
  { name: '@nestjs/schedule', ofNest: { 11: '@6', 12: '@12' } },
  { name: '@nestjs/typeorm', ofNest: { 11: '@11', 12: '@12' } },
  { name: 'typeorm', ofNest: { 11: '@1', 12: '@1' } },
  { name: 'pg', ofNest: { 11: '', 12: '' } },
];

/**
 * The packages that the application lacks, as arguments of `npm install`; `undefined` if it isn't a Nest
 * application.
 */
export function missingPackages(manifest: NestManifest): string[] | undefined {
  const installed = { ...manifest.devDependencies, ...manifest.dependencies };
  const nest = installed['@nestjs/core'];
  if (nest === undefined) {
    return undefined;
  }
  const major = Number(/\d+/.exec(nest)?.[0] ?? 12);
  return NEEDED.filter(({ name }) => installed[name] === undefined).map(
    ({ name, ofNest }) => `${name}${ofNest[major] ?? ''}`,
  );
}
