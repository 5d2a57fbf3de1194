import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Browser } from './browser.entity.js';
import { SCHEMA } from './schema.constants.js';

@Entity({ schema: SCHEMA, name: 'release' })
export class Release {
  @PrimaryColumn('text', { name: 'browser_id' })
  browserId!: string;

  @PrimaryColumn('text')
  version!: string;

  /** `YYYY-MM-DD`; unknown for a few releases. */
  @Column('date', { name: 'released_on', nullable: true })
  releasedOn!: string | null;

  /** Released: `retired`, `esr` and `current`. Not released yet: `beta`, `nightly` and `planned`. */
  @Column('text')
  status!: string;

  @ManyToOne(() => Browser)
  @JoinColumn({ name: 'browser_id' })
  browser?: Relation<Browser>;
}
