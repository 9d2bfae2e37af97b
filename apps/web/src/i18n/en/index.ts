// The page's English, a file for each section. Its shape is the type that every other language must fill: see shape.ts.
import { attention } from './attention';
import { attribution } from './attribution';
import { bare } from './bare';
import { chat } from './chat';
import { compare } from './compare';
import { effect } from './effect';
import { errors } from './errors';
import { example } from './example';
import { facts } from './facts';
import { features } from './features';
import { files } from './files';
import { generate } from './generate';
import { glossary } from './glossary';
import { interventions } from './interventions';
import { kept } from './kept';
import { labels } from './labels';
import { leftOut } from './left_out';
import { lens } from './lens';
import { lessons } from './lessons';
import { link } from './link';
import { loading } from './loading';
import { neurons } from './neurons';
import { next } from './next';
import { overview } from './overview';
import { page } from './page';
import { panel } from './panel';
import { paths } from './paths';
import { picture } from './picture';
import { program } from './program';
import { prompt } from './prompt';
import { proof } from './proof';
import { runs } from './runs';
import { steps } from './steps';
import { savedPage } from './saved_page';
import { strip } from './strip';
import { units } from './units';
import { variants } from './variants';
import { views } from './views';

export const en = {
  ...page,
  files,
  bare,
  link,
  loading,
  example,
  errors,
  picture,
  program,
  prompt,
  chat,
  next,
  generate,
  overview,
  glossary,
  attention,
  attribution,
  effect,
  interventions,
  labels,
  lens,
  neurons,
  features,
  steps,
  paths,
  lessons,
  panel,
  leftOut,
  savedPage,
  strip,
  units,
  variants,
  views,
  compare,
  kept,
  runs,
  proof,
  facts,
};
