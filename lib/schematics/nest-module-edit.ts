/** What to import in a module's file, and what to add to the module's list of imports. */
export interface ModuleImport {
  name: string;
  /** The package or the file. */
  from: string;
  /** Left out if only another call uses the name. */
  call?: string;
}

export const SCHEDULE_MODULE: ModuleImport = {
  name: 'ScheduleModule',
  from: '@nestjs/schedule',
  call: 'ScheduleModule.forRoot()',
};

export function materializedViewsModule(views: string): ModuleImport {
  return {
    name: 'MaterializedViewsModule',
    from: 'nestjs-materialized-views',
    call: `MaterializedViewsModule.forRoot({ views: [${views}] })`,
  };
}

/** What to add to a module's file. */
export interface ModuleEdit {
  /** For people. */
  text: string;
  /** The whole file with it; left out if the right place isn't clear. */
  written?: string;
}

/**
 * Adds the modules to the source of an application's module; `undefined` if they are already there. The right place is
 * clear only if the file has a single module, with a single `imports: [`.
 */
export function addModules(
  source: string,
  modules: readonly ModuleImport[],
): ModuleEdit | undefined {
  const code = withoutComments(source);
  const missing = modules.filter(({ name }) => !code.includes(name));
  if (missing.length === 0) {
    return undefined;
  }
  const quote = /from "/.test(code) ? '"' : "'";
  const imports = missing.map(
    ({ name, from }) => `import { ${name} } from ${quote}${from}${quote};`,
  );
  const calls = missing.flatMap(({ call }) => call ?? []);
  const text = [...imports, '', `imports: [..., ${calls.join(', ')}]`].join('\n');
  const places = [...code.matchAll(/\bimports\s*:\s*\[/g)];
  const last = [...code.matchAll(/^import\s[^;]*?from\s*(['"])[^'"]+\1;?[^\S\n]*$/gm)].at(-1);
  const [place] = places;
  if (
    [...code.matchAll(/@Module\(/g)].length > 1 ||
    places.length !== 1 ||
    place === undefined ||
    last === undefined ||
    place.index < last.index
  ) {
    return { text };
  }
  const afterImports = last.index + last[0].length;
  const afterBracket = place.index + place[0].length;
  const written = [
    source.slice(0, afterImports),
    ...imports.map((each) => `\n${each}`),
    source.slice(afterImports, afterBracket),
    listed(calls, source.slice(afterBracket)),
    source.slice(afterBracket),
  ].join('');
  return {
    text,
    written: source.includes('\r\n') ? written.replaceAll(/\r?\n/g, '\r\n') : written,
  };
}

/** Blanks in place of comments, so that all else keeps its position. */
function withoutComments(source: string): string {
  const stringOrComment = /(['"`])(?:\\[^]|(?!\1)[^\\])*\1|\/\/.*|\/\*[^]*?\*\//g;
  return source.replaceAll(stringOrComment, (text, quote?: string) =>
    quote === undefined ? text.replaceAll(/[^\r\n]/g, ' ') : text,
  );
}

/** The new elements, placed before the existing ones. */
function listed(calls: string[], rest: string): string {
  const indent = /^\s*\n(\s*)/.exec(rest)?.[1];
  if (indent !== undefined) {
    return calls.map((call) => `\n${indent}${call},`).join('');
  }
  return `${calls.join(', ')}${/^\s*\]/.test(rest) ? '' : ', '}`;
}
