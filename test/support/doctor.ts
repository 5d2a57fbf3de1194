import type { SchemaProject } from './schema-project.js';

export interface Finding {
  severity: string;
  code: string;
  view?: string;
  message: string;
  fix: string;
}

/** What depends on the server and on other tests: one out of support, or full because they run. */
const OF_THE_SERVER = ['server-version', 'connections'];

/** What `matviews doctor` finds. */
export async function diagnoseAll(
  project: SchemaProject,
): Promise<{ exitCode: number | null; found: Finding[] }> {
  const { exitCode, stdout } = await project.run('doctor', '--json');
  return { exitCode, found: (JSON.parse(stdout) as { findings: Finding[] }).findings };
}

/** The same, without what it finds about the server. */
export async function diagnose(project: SchemaProject): ReturnType<typeof diagnoseAll> {
  const { exitCode, found } = await diagnoseAll(project);
  return { exitCode, found: found.filter(({ code }) => !OF_THE_SERVER.includes(code)) };
}
