$( The letter game of D. Hofstadter's "Goedel, Escher, Bach" (1979, chapter I) as a Metamath database, written for this repository. CC0-1.0.
   Strings of M, I and U; a theorem is a string that the four rules make of M I. $)
$c M I U string |- $.
$v x y $.
sx $f string x $.
sy $f string y $.
$( Strings: the empty one, a string and a letter. $)
s0 $a string $.
sM $a string x M $.
sI $a string x I $.
sU $a string x U $.
$( The string that is given. $)
start $a |- M I $.
${
  add.1 $e |- x I $.
  $( A U may follow a final I. $)
  add $a |- x I U $.
$}
${
  double.1 $e |- M x $.
  $( What follows a first M may be doubled. $)
  double $a |- M x x $.
$}
${
  three.1 $e |- x I I I y $.
  $( Three I may become a U. $)
  three $a |- x U y $.
$}
${
  two.1 $e |- x U U y $.
  $( Two U may go. $)
  two $a |- x y $.
$}
$( The start, doubled twice. $)
miiii $p |- M I I I I $= s0 sI sI s0 sI start double double $.
$( Three of its I made into a U. $)
mui $p |- M U I $= s0 sM s0 sI miiii three $.
$( All of it doubled, and a U at its end. $)
muiuiu $p |- M U I U I U $= s0 sM sU sI sU s0 sU sI mui double add $.
