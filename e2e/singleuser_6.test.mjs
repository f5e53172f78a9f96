import { JUPYTER_ENV } from './support/lyceum.mjs';
import { tellOf } from './support/singleuser.mjs';

tellOf('6', JUPYTER_ENV);
