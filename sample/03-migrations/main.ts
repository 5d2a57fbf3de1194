import { Cleanup } from '../support/cleanup.js';
import { provideDatabase } from '../support/database.js';
import { reported } from '../support/reported.js';
import { ShopProject } from './demo/shop-project.js';
import { STORY } from './demo/story.js';

async function main(cleanup: Cleanup): Promise<void> {
  const { url } = await reported(
    () => provideDatabase(cleanup),
    ({ label }) => label,
  );
  const project = await ShopProject.create(url);
  cleanup.add(() => project.remove());
  for (const step of STORY) {
    console.log(`\n# ${step.title}`);
    await step.play(project);
  }
  console.log('\nEach step was as expected.');
  await cleanup.run();
}

Cleanup.around(main);
