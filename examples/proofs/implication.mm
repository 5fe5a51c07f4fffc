$( implication.mm: a small system to try things on.

   Hilbert's implication and negation with one quantifier; axioms, rules and the
   first theorems of every textbook.  Written for abduce; CC0-1.0. $)

$c ( ) -> -. A. wff setvar |- $.
$v ph ps ch th x y $.

wph $f wff ph $.
wps $f wff ps $.
wch $f wff ch $.
wth $f wff th $.
vx $f setvar x $.
vy $f setvar y $.

$( An implication. $)
wi $a wff ( ph -> ps ) $.
$( A negation. $)
wn $a wff -. ph $.
$( For all ` x ` . $)
wal $a wff A. x ph $.

${
  min $e |- ph $.
  maj $e |- ( ph -> ps ) $.
  $( Modus ponens. $)
  ax-mp $a |- ps $.
$}
$( What holds is implied by anything. $)
ax-1 $a |- ( ph -> ( ps -> ph ) ) $.
$( An implication distributes over an implication. $)
ax-2 $a |- ( ( ph -> ( ps -> ch ) ) -> ( ( ph -> ps ) -> ( ph -> ch ) ) ) $.
$( Contraposition. $)
ax-3 $a |- ( ( -. ph -> -. ps ) -> ( ps -> ph ) ) $.

${
  gen.1 $e |- ph $.
  $( What is proved holds for all. $)
  ax-gen $a |- A. x ph $.
$}
$( A quantifier distributes over an implication. $)
ax-4 $a |- ( A. x ( ph -> ps ) -> ( A. x ph -> A. x ps ) ) $.
${
  $d x ph $.
  $( A variable that does not occur can be quantified. $)
  ax-5 $a |- ( ph -> A. x ph ) $.
$}

${
  a1i.1 $e |- ph $.
  $( Add an antecedent. $)
  a1i $p |- ( ps -> ph ) $= wph wps wph wi a1i.1 wph wps ax-1 ax-mp $.
$}
${
  a2i.1 $e |- ( ph -> ( ps -> ch ) ) $.
  $( Distribute an antecedent. $)
  a2i $p |- ( ( ph -> ps ) -> ( ph -> ch ) ) $=
    wph wps wch wi wi wph wps wi wph wch wi wi a2i.1 wph wps wch ax-2 ax-mp $.
$}
${
  mpd.1 $e |- ( ph -> ps ) $.
  mpd.2 $e |- ( ph -> ( ps -> ch ) ) $.
  $( Modus ponens under an antecedent. $)
  mpd $p |- ( ph -> ch ) $=
    wph wps wi wph wch wi mpd.1 wph wps wch mpd.2 a2i ax-mp $.
$}
${
  syl.1 $e |- ( ph -> ps ) $.
  syl.2 $e |- ( ps -> ch ) $.
  $( Implication is transitive. $)
  syl $p |- ( ph -> ch ) $=
    wph wps wch syl.1 wps wch wi wph syl.2 a1i mpd $.
$}
$( Anything implies itself. $)
id $p |- ( ph -> ph ) $=
  ( wi ax-1 mpd ) AAABAAACAAABCD $.
${
  $d x ph $.
  alrimi.1 $e |- ( ph -> ps ) $.
  $( Quantify the consequent. $)
  alrimi $p |- ( ph -> A. x ps ) $=
    ( wal ax-5 wi ax-gen ax-4 ax-mp syl ) AACEBCEACFABGZCEAC
    EBCEGLCDHABCIJK $.
$}
${
  $d x y $.
  $( A formula about ` y ` , quantified over another variable; ` y ` occurs in the proof alone. $)
  idal $p |- A. x ( ph -> ph ) $= wph wph wi vx wph id ax-gen $.
$}
