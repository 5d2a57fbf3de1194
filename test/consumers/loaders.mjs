/**
 * Runs `matviews` on a data source in each kind of project, with each TypeScript loader that users have.
 *
 * The projects are copies of `data-source/`. The loaders are installed once, and each project has a link to one of them.
 */
import { deepStrictEqual, match } from 'node:assert/strict';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import ts from 'typescript';

const LOADERS = ['@swc-node/register', '@oxc-node/core', 'ts-node', 'tsx'];
const FORMATS = ['esm', 'cjs'];

const SOURCES = path.join(import.meta.dirname, 'data-source');
const LISTED = [
  {
    view: 'public.daily_orders',
    class: 'DailyOrders',
    kind: 'materialized',
    cron: '*/5 * * * *',
    timeZone: 'UTC',
    scheduler: 'application',
    mode: 'auto',
  },
];

/**
 * @param consumer the folder of an application with the library installed
 * @param tools the folder in which the loaders are installed
 */
export async function checkLoaders({ consumer, tools, run, databaseUrl }) {
  const list = (project, language) =>
    run(
      process.execPath,
      [
        path.join(consumer, 'node_modules/.bin/matviews'),
        ...['list', '--json', '-d', path.join(project, `data-source.${language}`)],
      ],
      // Outside the project's folder, so that `matviews` has to find its tsconfig.json.
      consumer,
      { DATABASE_URL: databaseUrl, NODE_OPTIONS: '' },
    );
  for (const loader of [...LOADERS, undefined]) {
    await Promise.all(
      FORMATS.map(async (format) => {
        const project = await createProject({ consumer, tools, loader, format });
        const listed = list(project, loader === undefined ? 'js' : 'ts');
        await expectViews(listed, `${loader ?? 'JavaScript'} ${format}`);
      }),
    );
  }
}

async function expectViews(listed, what) {
  if (what === '@oxc-node/core cjs') {
    // This loader produces ES modules, in which the file's `__dirname` doesn't exist.
    const { stderr } = await listed.then(
      () => ({ stderr: 'no error' }),
      (error) => error,
    );
    match(
      stderr,
      /__dirname.*\n(.*\n)*hint: .*npm install --save-dev @swc-node\/register @swc\/core/,
    );
    return;
  }
  const { stdout, stderr } = await listed;
  deepStrictEqual([what, JSON.parse(stdout).views], [what, LISTED]);
  match(stderr, what.startsWith('tsx') ? /^warning: tsx .*@Column\("text"\)/ : /^$/);
}

async function createProject({ consumer, tools, loader, format }) {
  const name = `${loader ?? 'javascript'}-${format}`.replaceAll(/\W/g, '-');
  const project = path.join(consumer, 'projects', name);
  await mkdir(path.join(project, 'node_modules'), { recursive: true });
  const type = format === 'esm' ? 'module' : 'commonjs';
  await writeFile(path.join(project, 'package.json'), JSON.stringify({ type }));
  await writeFile(path.join(project, 'tsconfig.json'), JSON.stringify(configuration(format)));
  for (const file of await readdir(SOURCES)) {
    const text = inFormat(await readFile(path.join(SOURCES, file), 'utf8'), format);
    const [written, content] =
      loader === undefined
        ? [file.replace(/ts$/, 'js'), compiled(text, format)]
        : [file, loader === 'tsx' ? withTypes(text) : text];
    await writeFile(path.join(project, written), content);
  }
  if (loader !== undefined) {
    const link = path.join(project, 'node_modules', loader);
    await mkdir(path.dirname(link), { recursive: true });
    await symlink(path.join(tools, 'node_modules', loader), link);
  }
  return project;
}

/** The tsconfig.json of `nest new` in Nest 12, and the same for CommonJS. */
function configuration(format) {
  const module = format === 'esm' ? 'nodenext' : 'commonjs';
  return {
    compilerOptions: {
      target: 'es2022',
      module,
      ...(format === 'esm' && { moduleResolution: module }),
      esModuleInterop: true,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      useDefineForClassFields: false,
    },
  };
}

function inFormat(text, format) {
  return format === 'esm'
    ? text
    : text.replaceAll(/(from '\..*)\.js'/g, "$1'").replaceAll('import.meta.dirname', '__dirname');
}

function compiled(text, format) {
  const { compilerOptions } = configuration(format);
  const module = format === 'esm' ? ts.ModuleKind.ES2022 : ts.ModuleKind.CommonJS;
  return ts.transpileModule(text, {
    compilerOptions: { ...compilerOptions, target: ts.ScriptTarget.ES2022, module },
  }).outputText;
}

/** Adds the column types that the warning about tsx asks for. */
function withTypes(text) {
  return text
    .replaceAll('@Column() day', "@Column('text') day")
    .replaceAll('@Column() paidAt', "@Column('timestamptz') paidAt");
}
