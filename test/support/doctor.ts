import type { SchemaProject } from './schema-project.js';

export interface Finding {
  severity: string;
  code: string;
  view?: string;
  message: string;
  fix: string;
}

/** Findings that depend on the server and on other running tests: an unsupported version, or too few connections left. */
const OF_THE_SERVER = ['server-version', 'connections'];

/** Runs `matviews doctor`. */
export async function diagnoseAll(
  project: SchemaProject,
): Promise<{ exitCode: number | null; found: Finding[] }> {
  const { exitCode, stdout } = await project.run('doctor', '--json');
  return { exitCode, found: (JSON.parse(stdout) as { findings: Finding[] }).findings };
}

/** The same, without findings about the server. */
export async function diagnose(project: SchemaProject): ReturnType<typeof diagnoseAll> {
  const { exitCode, found } = await diagnoseAll(project);
  return { exitCode, found: found.filter(({ code }) => !OF_THE_SERVER.includes(code)) };
}
