import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Browser } from './browser.entity.js';
import { SCHEMA } from './schema.constants.js';

@Entity({ schema: SCHEMA, name: 'release' })
export class Release {
  @PrimaryColumn('text', { name: 'browser_id' })
  browserId!: string;

  @PrimaryColumn('text')
  version!: string;

  /** `YYYY-MM-DD`; not known for a few. */
  @Column('date', { name: 'released_on', nullable: true })
  releasedOn!: string | null;

  /** `retired`, `esr` and `current` are out; `beta`, `nightly` and `planned` are to come. */
  @Column('text')
  status!: string;

  @ManyToOne(() => Browser)
  @JoinColumn({ name: 'browser_id' })
  browser?: Relation<Browser>;
}
